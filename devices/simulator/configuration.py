"""The configuration keys of a simulated charge point (OCPP 1.6 §9)."""

from dataclasses import dataclass, field

from devices.ocpp.v16.messages import (
    ChangeConfiguration,
    ChangeConfigurationResponseStatus,
    ConfigurationKey,
    GetConfiguration,
    GetConfigurationResponse,
)

HEARTBEAT_INTERVAL = "HeartbeatInterval"
SAMPLE_INTERVAL = "MeterValueSampleInterval"
AUTHORIZATION_CACHE = "AuthorizationCacheEnabled"
SWITCHES_PHASES = "ConnectorSwitch3to1PhaseSupported"

WRITABLE = {
    HEARTBEAT_INTERVAL: "300",
    SAMPLE_INTERVAL: "5",
    "ClockAlignedDataInterval": "0",
    AUTHORIZATION_CACHE: "true",
    "ConnectionTimeOut": "60",
    "AuthorizeRemoteTxRequests": "false",
    "LocalAuthListEnabled": "true",
    "LocalAuthorizeOffline": "true",
    "LocalPreAuthorize": "false",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Current.Import,Power.Active.Import",
    "StopTransactionOnEVSideDisconnect": "true",
    "StopTransactionOnInvalidId": "true",
    "TransactionMessageAttempts": "3",
    "TransactionMessageRetryInterval": "1",
    "UnlockConnectorOnEVSideDisconnect": "true",
    "WebSocketPingInterval": "0",
}
FIXED = {
    "ChargeProfileMaxStackLevel": "8",
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargingScheduleMaxPeriods": "24",
    SWITCHES_PHASES: "false",
    "GetConfigurationMaxKeys": "20",
    "LocalAuthListMaxLength": "500",
    "MaxChargingProfilesInstalled": "24",
    "NumberOfConnectors": "1",
    "SendLocalListMaxLength": "500",
    "SupportedFeatureProfiles": "Core,LocalAuthListManagement,RemoteTrigger,SmartCharging",
}
SECONDS = {HEARTBEAT_INTERVAL, SAMPLE_INTERVAL, "ClockAlignedDataInterval", "ConnectionTimeOut"}


@dataclass(slots=True)
class Configuration:
    """The keys and their values now."""

    values: dict[str, str] = field(default_factory=lambda: {**WRITABLE, **FIXED})

    def seconds(self, key: str) -> float:
        """A time that is set by this key; 0 is off."""
        return float(self.values[key])

    def get(self, request: GetConfiguration) -> GetConfigurationResponse:
        """The keys that are asked for, all where none is named."""
        asked = request.key if isinstance(request.key, list) else sorted(self.values)
        known = [
            ConfigurationKey(key=key, readonly=key in FIXED, value=self.values[key])
            for key in asked
            if key in self.values
        ]
        return GetConfigurationResponse(
            configuration_key=known, unknown_key=[key for key in asked if key not in self.values]
        )

    def change(self, request: ChangeConfiguration) -> ChangeConfigurationResponseStatus:
        """Whether the value was taken."""
        if request.key not in self.values:
            return "NotSupported"
        if request.key in FIXED or (request.key in SECONDS and not request.value.isdecimal()):
            return "Rejected"
        self.values[request.key] = request.value
        return "Accepted"
