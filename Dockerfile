# docker build .
# GitHub allows 60 anonymous API calls an hour and address; if the fetch below fails on that limit:
# docker build --secret id=github_token,env=GITHUB_TOKEN .
FROM python:3.13-slim-bookworm

# The libraries of the browser, fonts, a display for `--headless virtual`, and an init that reaps zombies.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates fonts-liberation fonts-noto-cjk fonts-noto-color-emoji \
        libasound2 libavcodec59 libdbus-glib-1-2 libegl1 libgl1-mesa-dri libgtk-3-0 libpci3 \
        libx11-xcb1 libxcursor1 libxi6 libxt6 libxtst6 tini xvfb \
    && rm -rf /var/lib/apt/lists/*

# Everything else belongs to the user who runs it: the browser goes into the home directory, the model
# its fingerprints are drawn from into site-packages, and Firefox
# does not start if it cannot make the folders it keeps lists of profiles in.
RUN useradd --create-home --uid 1000 captcha \
    && install -d -o captcha -g captcha /opt/venv /home/captcha/.camoufox /home/captcha/.config \
        /home/captcha/.cache /home/captcha/.cache/mozilla \
        /home/captcha/.cache/fontconfig /home/captcha/.cache/camoufox/fontconfig
USER 1000
WORKDIR /home/captcha/app
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

# Dependencies and browser first: a change of the code does not download them again.
COPY pyproject.toml ./
RUN python -m venv /opt/venv \
    && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > /tmp/dependencies \
    && pip install -r /tmp/dependencies
# The fetcher ends with 0 when it fails, so ask whether the browser is there.
RUN --mount=type=secret,id=github_token,uid=1000 \
    GITHUB_TOKEN="$(cat /run/secrets/github_token 2>/dev/null)" python -m camoufox fetch \
    && python -c "from camoufox.pkgman import camoufox_path; print(camoufox_path(download_if_missing=False))"

COPY LICENSE README.md ./
COPY captcha_bypass captcha_bypass
COPY captcha_bypass_scrapy captcha_bypass_scrapy
RUN pip install --no-deps .

ENV CAPTCHA_BYPASS_HOST=0.0.0.0
EXPOSE 8191
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client, os; port = int(os.environ.get('CAPTCHA_BYPASS_PORT') or os.environ.get('PORT') or 8191); link = http.client.HTTPConnection('127.0.0.1', port, timeout=4); link.request('GET', '/health'); raise SystemExit(link.getresponse().status != 200)"]
ENTRYPOINT ["tini", "--", "captcha-bypass"]
