# docker build .        Docker 23 or newer (BuildKit), on amd64 or arm64
# GitHub allows 60 anonymous API calls an hour and address; if the fetch below fails on that limit:
# docker build --secret id=github_token,env=GITHUB_TOKEN .
FROM python:3.13-slim-bookworm

# The libraries of the browser, fonts, a display for `--headless virtual`, and an init that reaps zombies.
# Debian keeps only the newest version of a package, so there is none to pin.
# hadolint ignore=DL3008
RUN case "$(dpkg --print-architecture)" in \
        amd64 | arm64) ;; \
        *) echo "error: Camoufox has no build for this processor: use --platform linux/amd64 or linux/arm64" >&2; exit 1 ;; \
    esac \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates fonts-liberation fonts-noto-color-emoji fonts-wqy-zenhei \
        libasound2 libavcodec59 libdbus-glib-1-2 libegl1 libgl1-mesa-dri libgtk-3-0 libpci3 \
        libx11-xcb1 libxcursor1 libxi6 libxt6 libxtst6 tini xvfb \
    && rm -rf /var/lib/apt/lists/*

# Everything else belongs to the user who runs it: the browser goes into the home directory, the model
# its fingerprints are drawn from into site-packages, and Firefox does not start if it cannot make the folders it keeps
# lists of profiles in. The user's group is 0, which may write whatever it may: where a platform chooses the user
# (OpenShift), that is the one group it leaves.
RUN useradd --create-home --uid 1000 --gid 0 captcha \
    && install -d -o captcha -g 0 -m 0775 /opt/venv /home/captcha /home/captcha/app /home/captcha/.camoufox \
        /home/captcha/.config /home/captcha/.cache /home/captcha/.cache/mozilla /home/captcha/.cache/fontconfig
USER 1000
WORKDIR /home/captcha/app
ENV HOME=/home/captcha PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

# Dependencies and browser first, and of the project only what names them: no other change downloads them again.
COPY docker/requirements.txt docker/
RUN umask 002 \
    && python -m venv /opt/venv \
    && pip install --require-hashes --only-binary :all: -r docker/requirements.txt
# The fetcher knows the newest 30 builds only. To build this again later, keep the zip of the pinned one with its checksum
# (camoufox/browser-pin.json names it), and write in place of `python -m camoufox fetch`, after a COPY of both:
#   mkdir ~/.cache/camoufox && cd ~/.cache/camoufox && sha256sum -c ~/app/camoufox.zip.sha256 && touch .0.5_FLAG
#   python -m zipfile -e ~/app/camoufox.zip browsers/official/156.0.1-beta.36 && chmod -R 755 browsers
#   echo '{"version": "156.0.1", "build": "beta.36", "interface": 1}' > browsers/official/156.0.1-beta.36/version.json
#   python -c 'from camoufox import fpgen_model, geolocation as g; g.download_mmdb(); fpgen_model.ensure_fpgen_model()'
# The fetcher ends with 0 when it fails, so look at what is there. A database with a date to come is never fetched
# again while the service runs.
COPY docker/check_pinned.py docker/
RUN --mount=type=secret,id=github_token,uid=1000 \
    umask 002 \
    && GITHUB_TOKEN="$(cat /run/secrets/github_token 2>/dev/null)" python -m camoufox fetch \
    && python docker/check_pinned.py \
    && find /home/captcha/.cache/camoufox/geoip -name '*.mmdb' -exec touch -d 2099-01-01 {} + \
    && mkdir -p /home/captcha/.cache/camoufox/fontconfig \
    && chmod -R g=u /home/captcha/.cache /opt/venv/lib/python3.13/site-packages/fpgen

COPY LICENSE README.md pyproject.toml hatch_build.py ./
COPY captcha_bypass captcha_bypass
COPY captcha_bypass_scrapy captcha_bypass_scrapy
RUN umask 002 && pip install --no-deps --no-build-isolation .

ENV CAPTCHA_BYPASS_HOST=0.0.0.0
EXPOSE 8191
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-m", "captcha_bypass.healthcheck"]
ENTRYPOINT ["tini", "--", "captcha-bypass"]
