"""The fields of a run file: their types, and the flags of daprd that they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError


@dataclass(frozen=True)
class Flag:
    """The flag of daprd that a field becomes."""

    name: str


def _scalar(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise ValueError
    return value


Scalar = Annotated[Any, AfterValidator(_scalar)]
Number = Annotated[int | None, Field(description="a number")]
Port = Annotated[int | None, Field(ge=-1, le=65535, description="a number up to 65535")]
Text = Annotated[str | int | None, Field(description="a text")]
Switch = Annotated[bool | None, Field(description="true or false")]
Words = Annotated[list[Scalar] | None, Field(description="a list of words")]
# The documentation also shows a single string with commas.
Paths = Annotated[list[Scalar] | str | None, Field(description="a list of paths")]
Variables = Annotated[
    dict[Any, Scalar] | list[dict[Any, Scalar]] | None,
    Field(description="a mapping of names to texts"),
]


class Common(BaseModel):
    """The fields that `common` and each app can have; a field without a value is None."""

    model_config = ConfigDict(extra="ignore", strict=True)

    resourcesPaths: Paths = None
    resourcesPath: Text = None
    configFilePath: Text = None
    env: Variables = None
    appLogDestination: Text = None
    daprdLogDestination: Text = None
    appSSL: Switch = None
    appProtocol: Annotated[Text, Flag("app-protocol")] = None
    appChannelAddress: Annotated[Text, Flag("app-channel-address")] = None
    apiListenAddresses: Annotated[Text, Flag("dapr-listen-addresses")] = None
    logLevel: Annotated[Text, Flag("log-level")] = None
    appMaxConcurrency: Annotated[Number, Flag("app-max-concurrency")] = None
    enableProfiling: Annotated[Switch, Flag("enable-profiling")] = None
    profilePort: Annotated[Port, Flag("profile-port")] = None
    enableApiLogging: Annotated[Switch, Flag("enable-api-logging")] = None
    enableAppHealthCheck: Annotated[Switch, Flag("enable-app-health-check")] = None
    appHealthCheckPath: Annotated[Text, Flag("app-health-check-path")] = None
    appHealthProbeInterval: Annotated[Number, Flag("app-health-probe-interval")] = None
    appHealthProbeTimeout: Annotated[Number, Flag("app-health-probe-timeout")] = None
    appHealthThreshold: Annotated[Number, Flag("app-health-threshold")] = None
    daprMaxBodySize: Annotated[Text, Flag("max-body-size")] = None
    daprReadBufferSize: Annotated[Text, Flag("read-buffer-size")] = None
    # As in the CLI's source.
    maxBodySize: Annotated[Text, Flag("max-body-size")] = None
    readBufferSize: Annotated[Text, Flag("read-buffer-size")] = None
    # The spellings before 1.14 and 1.16.
    daprHTTPMaxRequestSize: Annotated[Number, Flag("dapr-http-max-request-size")] = None
    daprHTTPReadBufferSize: Annotated[Number, Flag("dapr-http-read-buffer-size")] = None


class AppFields(Common):
    """The fields of one app."""

    appDirPath: Text = None
    appID: Text = None
    appPort: Port = None
    command: Words = None
    daprHTTPPort: Port = None
    daprGRPCPort: Port = None
    daprInternalGRPCPort: Port = None
    metricsPort: Port = None


FLAGS = {
    name: each.name
    for name, field in Common.model_fields.items()
    for each in field.metadata
    if isinstance(each, Flag)
}

Fields = TypeVar("Fields", bound=Common)


class Unfit(Exception):
    """The first field, in the order of the file, whose value has another type."""

    def __init__(self, name: str, value: Any, expected: str) -> None:
        super().__init__(f"{name} is {value!r}, not {expected}")
        self.name, self.value, self.expected = name, value, expected


def read_fields(kind: type[Fields], values: dict[Any, Any]) -> dict[str, Any]:
    """The fields of `common` or of an app that have a value, without unknown ones.

    Raises:
        Unfit: a field has another type.
    """
    named = {str(key): value for key, value in values.items()}
    try:
        return kind.model_validate(named).model_dump(exclude_none=True)
    except ValidationError as error:
        wrong = {each["loc"][0] for each in error.errors(include_input=False)}
        name = next(key for key in named if key in wrong)
        expected = kind.model_fields[name].description or ""
        raise Unfit(name, named[name], expected) from None
