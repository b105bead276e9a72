"""Every setting once: name, default, unit, help. Flag > environment > default."""

from __future__ import annotations

from socket import gethostname
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    FilePath,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from captcha_bypass.config.cpus import usable_cpus
from captcha_bypass.config.environment import BareEnvironment, PrefixedEnvironment
from captcha_bypass.config.secret_files import read_keys, read_password
from captcha_bypass.config.values import (
    Keys,
    LinkBase,
    Listed,
    Lowered,
    PrivateHost,
    QueueUrl,
    Seconds,
    Secrets,
    WebhookUrl,
    is_loopback,
)
from captcha_bypass.wire.fields import ProxyServer, checked_password, checked_username


class Config(BaseSettings):
    """The settings of the service. Times are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(
        env_prefix="CAPTCHA_BYPASS_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        cli_kebab_case=True,
        cli_prog_name="captcha-bypass",
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    queue_url: QueueUrl | None = Field(
        None, description="Redis whose queue this service shares with others (redis://HOST:6379/0)"
    )
    queue_secret: Annotated[Secrets, NoDecode, Listed] = Field(
        default_factory=tuple,
        description="what tasks and results are encrypted with there; repeatable, the first writes",
    )
    queue_secret_file: Annotated[Secrets, NoDecode, BeforeValidator(read_keys)] = Field(
        default_factory=tuple, description="file with more of them, one a line"
    )
    node: str = Field(
        default_factory=gethostname,
        min_length=1,
        max_length=100,
        description="name of this service among those that share a queue",
    )
    node_url: LinkBase | None = Field(
        None, description="how the others reach this service, which must be without a detour"
    )
    start_timeout: Seconds = Field(
        30.0, description="seconds that Redis may take to answer at the start"
    )
    workers: int = Field(
        default_factory=usable_cpus,
        ge=0,
        le=256,
        description="tasks running at once; 0: none here, others that share the queue run them",
    )
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8191, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    api_key: Annotated[Keys, NoDecode, Listed] = Field(
        default_factory=tuple,
        description="key that every route but GET /health, /live and the dashboard's files wants; repeatable, for rotation",
    )
    api_key_file: Annotated[Keys, NoDecode, BeforeValidator(read_keys)] = Field(
        default_factory=tuple,
        description="file with more such keys, one a line; blank lines and #-comments are ignored",
    )
    result_ttl: Seconds = Field(600.0, description="seconds a finished result is kept")
    clearance_ttl: Seconds = Field(
        3600.0, description="seconds a clearance is kept at most, for tasks that may reuse it"
    )
    browser: Annotated[Literal["auto", "camoufox", "firefox"], Lowered] = Field(
        "auto",
        description="auto: Camoufox if installed or fetchable, else an installed Firefox",
    )
    browser_path: FilePath | None = Field(None, description="executable to use for firefox")
    headless: Annotated[Literal["true", "false", "virtual"], Lowered] = Field(
        "true", description="virtual: a window on an Xvfb display of the service's own"
    )
    tasks_per_browser: int = Field(
        100,
        ge=1,
        description="a browser is replaced after that many tasks; 1: a fresh one for each",
    )
    max_browser_bytes: int = Field(
        2 * 1024**3,
        ge=64 * 1024**2,
        description="a browser that holds more memory is replaced once its tasks have ended",
    )
    max_timeout: Seconds = Field(
        300.0, description="longest timeout in seconds a request may ask for"
    )
    max_per_host: int = Field(
        4, ge=0, description="tasks running at once against one host; 0: any number"
    )
    max_queue: int = Field(1000, ge=1, description="pending tasks; one more is answered 503")
    max_waiting: int = Field(
        1000, ge=1, description="requests held by ?wait= at once; one more is answered 503"
    )
    max_results_bytes: int = Field(
        256 * 1024**2,
        ge=1024**2,
        description="memory for all results together; past it the oldest finished go first",
    )
    keep_evidence: int = Field(
        0,
        ge=0,
        le=10_000,
        description="unfinished and failed tasks whose HTML and picture are kept, the last ones",
    )
    max_evidence_bytes: int = Field(
        64 * 1024**2,
        ge=1024**2,
        description="memory for all of that together; past it the oldest goes first",
    )
    max_html_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, description="larger pages end in error page_too_large"
    )
    max_sessions: int = Field(
        20, ge=1, description="sessions that may be open; they share a browser of their own"
    )
    session_ttl: Seconds = Field(
        1800.0, description="seconds without a task after which a session ends"
    )
    on_challenge: Annotated[Literal["report", "wait"], Lowered] = Field(
        "report",
        description="what is done about challenges for a person where a request does not say it; "
        "wait: the page is kept for one",
    )
    human_timeout: Seconds = Field(600.0, description="seconds that a page waits for a person")
    max_waiting_pages: int = Field(
        4, ge=0, le=256, description="pages that may wait for a person at once, beside the workers"
    )
    human_webhook: WebhookUrl | None = Field(
        None, description="URL that is sent a JSON object when a page waits for a person"
    )
    dashboard_url: LinkBase | None = Field(
        None, description="what links to the dashboard begin with, as people reach this service"
    )
    max_fetch_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, description="largest answer of POST /fetch, decoded"
    )
    max_fetches_per_host: int = Field(
        6, ge=1, le=256, description="requests of POST /fetch to one host at once; others wait"
    )
    max_task_bytes: int = Field(
        100 * 1024 * 1024,
        ge=64 * 1024,
        description="what one task's page may move, both directions together",
    )
    allow_private_host: Annotated[tuple[PrivateHost, ...], NoDecode, Listed] = Field(
        default_factory=tuple,
        description="host, host:port or CIDR that a task may name although it is not public",
    )
    proxy_url: ProxyServer | None = Field(
        None, description="scheme://host:port of the proxy of every task that names none"
    )
    proxy_username: str | None = Field(
        None, min_length=1, max_length=256, description="login at that proxy"
    )
    proxy_password: SecretStr | None = Field(
        None, max_length=1024, description="password at that proxy"
    )
    proxy_password_file: Annotated[SecretStr | None, BeforeValidator(read_password)] = Field(
        None, max_length=1024, description="file whose one line is that password"
    )
    disable_media: bool = Field(
        False,
        description="pages of /v1 load no images, media, fonts and styles unless a request says so",
    )
    metrics_domains: bool = Field(
        False, description="name the hosts that /v1 is asked for in /metrics, at most 100"
    )
    shutdown_timeout: Annotated[float, Field(allow_inf_nan=False, ge=0)] = Field(
        30.0, description="seconds running tasks get after SIGTERM"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lowered] = Field(
        "info", description="least severe level that is logged"
    )
    log_format: Annotated[Literal["text", "json"], Lowered] = Field(
        "text", description="json: one object a line, for machines"
    )

    @field_validator("workers")
    @classmethod
    def _some_run(cls, value: int, info: ValidationInfo) -> int:
        if value == 0 and info.data.get("queue_url", "") is None:
            raise ValueError("must be at least 1 without --queue-url: nobody else runs tasks")
        return value

    @field_validator("proxy_username")
    @classmethod
    def _username_fits(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("proxy_url", "") is None:
            raise ValueError("needs --proxy-url beside it")
        return checked_username(value, info.data.get("proxy_url"))

    @field_validator("proxy_password")
    @classmethod
    def _password_fits(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "proxy_username" not in info.data:
            return value  # refused already
        return checked_password(value, info.data["proxy_username"], info.data.get("proxy_url"))

    @field_validator("proxy_password_file")
    @classmethod
    def _only_password(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("proxy_password") is not None:
            raise ValueError("stands beside --proxy-password; leave one of them out")
        return cls._password_fits(value, info)

    @property
    def proxy_secret(self) -> SecretStr | None:
        """The password at the default proxy, wherever it stood."""
        return self.proxy_password or self.proxy_password_file

    @property
    def api_keys(self) -> Keys:
        """All keys that are accepted; empty: none is asked for."""
        return self.api_key + self.api_key_file

    @property
    def queue_secrets(self) -> tuple[str, ...]:
        """What the shared queue is encrypted with; empty: nothing."""
        return tuple(
            secret.get_secret_value() for secret in self.queue_secret + self.queue_secret_file
        )

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources; earlier ones win. Flags come before all of these."""
        return init_settings, PrefixedEnvironment(settings_cls), BareEnvironment(settings_cls)
