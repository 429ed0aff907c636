-- Written by `make tables`: what all migrations together come to. Not to be changed by hand.
BEGIN;
CREATE TABLE alert_notices (
    id uuid NOT NULL,
    alert_id uuid NOT NULL,
    occasion character varying(10) NOT NULL,
    key character varying(80),
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    mailed_at timestamp with time zone,
    has_told_end boolean NOT NULL,
    subscription_id uuid NOT NULL
);
COMMENT ON TABLE alert_notices IS 'Something about an alert that a subscription is to be mailed, once: `key` is (subscription, alert, occasion).';
CREATE TABLE alert_subscriptions (
    id uuid NOT NULL,
    charger_ids text NOT NULL,
    kinds text NOT NULL,
    minimum_severity character varying(8) NOT NULL,
    delivery character varying(16) NOT NULL,
    digest_hour integer NOT NULL,
    quiet_from character varying(5),
    quiet_to character varying(5),
    sends_resolved boolean NOT NULL,
    email character varying(320),
    language character varying(2) NOT NULL,
    default_key character varying(80),
    created_at timestamp with time zone NOT NULL,
    verified_at timestamp with time zone,
    ended_at timestamp with time zone,
    installation_id uuid NOT NULL,
    user_id uuid NOT NULL
);
COMMENT ON TABLE alert_subscriptions IS 'A person''s wish for mails about alerts at an installation.';
COMMENT ON COLUMN alert_subscriptions.minimum_severity IS 'INFO: INFO\nWARNING: WARNING\nERROR: ERROR\nCRITICAL: CRITICAL';
COMMENT ON COLUMN alert_subscriptions.delivery IS 'IMMEDIATE: IMMEDIATE\nHOURLY_DIGEST: HOURLY_DIGEST\nDAILY_DIGEST: DAILY_DIGEST';
COMMENT ON COLUMN alert_subscriptions.language IS 'EN: EN\nNB: NB';
CREATE TABLE alerts (
    id uuid NOT NULL,
    charger_id uuid,
    kind character varying(32) NOT NULL,
    severity character varying(8) NOT NULL,
    state character varying(12) NOT NULL,
    open_key character varying(100),
    message character varying(500) NOT NULL,
    vendor_code character varying(50),
    opened_at timestamp with time zone NOT NULL,
    acknowledged_at timestamp with time zone,
    acknowledged_by_id uuid,
    note character varying(500),
    resolved_at timestamp with time zone,
    occurrences integer NOT NULL,
    installation_id uuid NOT NULL,
    circuit_id uuid,
    folded_into_id uuid,
    reopenings integer,
    reopened_at timestamp with time zone,
    info character varying(300),
    began_at timestamp with time zone
);
COMMENT ON TABLE alerts IS 'One open alert per (kind, object): `open_key` is that pair while it is not resolved, None afterwards.';
COMMENT ON COLUMN alerts.kind IS 'UNKNOWN: UNKNOWN\nCHARGER_OFFLINE: CHARGER_OFFLINE\nINSTALLATION_OFFLINE: INSTALLATION_OFFLINE\nCABLE_FAULT: CABLE_FAULT\nCONNECTOR_LOCK: CONNECTOR_LOCK\nGROUND_FAULT: GROUND_FAULT\nCONTACTOR_WELDED: CONTACTOR_WELDED\nOVER_TEMPERATURE: OVER_TEMPERATURE\nOVERCURRENT: OVERCURRENT\nVOLTAGE: VOLTAGE\nMETER_FAULT: METER_FAULT\nREADER_FAULT: READER_FAULT\nVEHICLE_COMMUNICATION: VEHICLE_COMMUNICATION\nINTERNAL: INTERNAL\nNO_CURRENT: NO_CURRENT\nCIRCUIT_OVERLOAD: CIRCUIT_OVERLOAD\nMETER_STALE: METER_STALE\nBALANCER_DEGRADED: BALANCER_DEGRADED\nEXTERNAL_AUTHENTICATION_DOWN: EXTERNAL_AUTHENTICATION_DOWN\nUNKNOWN_CARD_REPEATED: UNKNOWN_CARD_REPEATED\nCLOCK_UNRELIABLE: CLOCK_UNRELIABLE\nOFFLINE_SESSIONS_RECEIVED: OFFLINE_SESSIONS_RECEIVED';
COMMENT ON COLUMN alerts.severity IS 'INFO: INFO\nWARNING: WARNING\nERROR: ERROR\nCRITICAL: CRITICAL';
COMMENT ON COLUMN alerts.state IS 'OPEN: OPEN\nACKNOWLEDGED: ACKNOWLEDGED\nRESOLVED: RESOLVED';
CREATE TABLE api_tokens (
    id uuid NOT NULL,
    name character varying(200) NOT NULL,
    prefix character varying(16) NOT NULL,
    digest character varying(64) NOT NULL,
    scopes character varying(255),
    created_by_id uuid,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    revoked_by_id uuid,
    account_id uuid NOT NULL
);
COMMENT ON TABLE api_tokens IS 'A secret of a service account, of which only the digest is kept, and `prefix` to tell it by.';
CREATE TABLE audit_entries (
    id uuid NOT NULL,
    installation_id uuid,
    at timestamp with time zone NOT NULL,
    actor_id uuid,
    actor character varying(200) NOT NULL,
    action character varying(64) NOT NULL,
    object_type character varying(32) NOT NULL,
    object_id uuid,
    state_before text,
    state_after text
);
COMMENT ON TABLE audit_entries IS 'One change or command, `state_before` and `state_after` are JSON without secrets.';
CREATE TABLE authorization_attempts (
    id uuid NOT NULL,
    installation_id uuid NOT NULL,
    charger_id uuid NOT NULL,
    station_id uuid,
    credential_type character varying(8) NOT NULL,
    token character varying(64),
    user_id uuid,
    card_id uuid,
    at timestamp with time zone NOT NULL,
    decision character varying(10),
    decided_by character varying(16),
    reason character varying(300),
    request_id uuid,
    session_id uuid,
    external_session_id character varying(200)
);
COMMENT ON TABLE authorization_attempts IS 'What came of an attempt to charge. `token` is the whole credential, shown to nobody.';
COMMENT ON COLUMN authorization_attempts.credential_type IS 'UNKNOWN: UNKNOWN\nCARD: CARD\nAPP: APP\nREMOTE: REMOTE\nVEHICLE: VEHICLE';
COMMENT ON COLUMN authorization_attempts.decision IS 'ACCEPTED: ACCEPTED\nBLOCKED: BLOCKED\nEXPIRED: EXPIRED\nINVALID: INVALID\nCONCURRENT: CONCURRENT';
COMMENT ON COLUMN authorization_attempts.decided_by IS 'NATIVE: NATIVE\nSUBSCRIBER: SUBSCRIBER\nCALL_OUT: CALL_OUT\nPRE_AUTHORIZED: PRE_AUTHORIZED\nCACHE: CACHE\nFAIL_POLICY: FAIL_POLICY\nANONYMOUS: ANONYMOUS';
CREATE TABLE authorization_requests (
    id uuid NOT NULL,
    installation_id uuid NOT NULL,
    charger_id uuid NOT NULL,
    station_id uuid,
    credential_type character varying(8) NOT NULL,
    token character varying(64) NOT NULL,
    user_id uuid,
    card_id uuid,
    requested_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    is_shadow boolean NOT NULL,
    native_decision character varying(10) NOT NULL,
    decision character varying(10),
    decided_by character varying(16),
    decided_at timestamp with time zone,
    reason character varying(300),
    answered_by_id uuid,
    external_user_id character varying(200),
    external_session_id character varying(200),
    cache_until timestamp with time zone,
    called_at timestamp with time zone
);
COMMENT ON TABLE authorization_requests IS 'A question to an external system, `token` is whole and normalised. The first answer is written, later ones find it there.';
COMMENT ON COLUMN authorization_requests.credential_type IS 'UNKNOWN: UNKNOWN\nCARD: CARD\nAPP: APP\nREMOTE: REMOTE\nVEHICLE: VEHICLE';
COMMENT ON COLUMN authorization_requests.native_decision IS 'ACCEPTED: ACCEPTED\nBLOCKED: BLOCKED\nEXPIRED: EXPIRED\nINVALID: INVALID\nCONCURRENT: CONCURRENT';
COMMENT ON COLUMN authorization_requests.decision IS 'ACCEPTED: ACCEPTED\nBLOCKED: BLOCKED\nEXPIRED: EXPIRED\nINVALID: INVALID\nCONCURRENT: CONCURRENT';
COMMENT ON COLUMN authorization_requests.decided_by IS 'NATIVE: NATIVE\nSUBSCRIBER: SUBSCRIBER\nCALL_OUT: CALL_OUT\nPRE_AUTHORIZED: PRE_AUTHORIZED\nCACHE: CACHE\nFAIL_POLICY: FAIL_POLICY\nANONYMOUS: ANONYMOUS';
CREATE TABLE balancing_decisions (
    id uuid NOT NULL,
    installation_id uuid NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    triggered_by character varying(64) NOT NULL,
    instance text NOT NULL,
    allocation text NOT NULL
);
COMMENT ON TABLE balancing_decisions IS 'A decision with its inputs: `instance` is ev-balance/1 JSON and replays to `allocation`.';
CREATE TABLE card_blocks (
    id bigint NOT NULL,
    blocked_by_id uuid,
    blocked_at timestamp with time zone NOT NULL,
    card_id uuid NOT NULL,
    installation_id uuid NOT NULL
);
COMMENT ON TABLE card_blocks IS 'A card is not taken at one installation.';
CREATE SEQUENCE card_blocks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE card_blocks_id_seq OWNED BY card_blocks.id;
CREATE TABLE card_enrollments (
    id uuid NOT NULL,
    installation_id uuid NOT NULL,
    name character varying(100) NOT NULL,
    requested_by_id uuid NOT NULL,
    state character varying(10) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    card_id uuid,
    charger_id uuid NOT NULL,
    user_id uuid NOT NULL
);
COMMENT ON TABLE card_enrollments IS 'The next unknown card that is shown at a charger until `expires_at` becomes that person''s.';
COMMENT ON COLUMN card_enrollments.state IS 'WAITING: WAITING\nENROLLED: ENROLLED\nTAKEN: TAKEN\nEXPIRED: EXPIRED';
CREATE TABLE charge_cards (
    id uuid NOT NULL,
    number character varying(36) NOT NULL,
    name character varying(100) NOT NULL,
    is_blocked boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    external_id character varying(200),
    user_id uuid NOT NULL,
    external_account_id uuid
);
COMMENT ON TABLE charge_cards IS 'A card. `number` is normalised (upper case, no separators) and unique in the portal.';
CREATE TABLE charge_sessions (
    id uuid NOT NULL,
    circuit_id uuid,
    user_id uuid,
    card_id uuid,
    installation_name character varying(200) NOT NULL,
    circuit_name character varying(200),
    charger_name character varying(200) NOT NULL,
    user_name character varying(200),
    card_name character varying(100),
    time_zone character varying(64) NOT NULL,
    id_token character varying(64),
    station_id uuid,
    transaction_id character varying(64),
    start_key character varying(200),
    stop_key character varying(200),
    import_key character varying(200),
    external_id character varying(200),
    state character varying(8) NOT NULL,
    flags integer NOT NULL,
    authorized_at timestamp with time zone,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    registered_at timestamp with time zone,
    last_event_at timestamp with time zone,
    device_started_at timestamp with time zone,
    inferred_end_due_at timestamp with time zone,
    meter_start_wh bigint,
    meter_last_wh bigint,
    meter_stop_wh bigint,
    energy_wh bigint,
    connected_s integer NOT NULL,
    charging_s integer NOT NULL,
    stop_reason character varying(24),
    is_paused boolean NOT NULL,
    priority integer NOT NULL,
    energy_target_wh bigint,
    departure_at timestamp with time zone,
    replaced_by_id uuid,
    created_at timestamp with time zone NOT NULL,
    charger_id uuid NOT NULL,
    installation_id uuid NOT NULL
)
WITH (fillfactor='70');
COMMENT ON TABLE charge_sessions IS 'One physical charge. Names and zone are snapshots of its time, rights follow its own installation.';
COMMENT ON COLUMN charge_sessions.state IS 'ACTIVE: ACTIVE\nENDED: ENDED\nVOID: VOID';
COMMENT ON COLUMN charge_sessions.stop_reason IS 'UNKNOWN: UNKNOWN\nCARD: CARD\nAPP: APP\nREMOTE: REMOTE\nVEHICLE_DISCONNECTED: VEHICLE_DISCONNECTED\nVEHICLE_STOPPED: VEHICLE_STOPPED\nPOWER_LOSS: POWER_LOSS\nRESTART: RESTART\nFAULT: FAULT\nBALANCER: BALANCER\nDEAUTHORIZED: DEAUTHORIZED\nOTHER: OTHER';
CREATE TABLE charger_kinds (
    id uuid NOT NULL,
    vendor character varying(100) NOT NULL,
    model character varying(100) NOT NULL,
    firmware character varying(100) NOT NULL,
    facts text NOT NULL,
    learnt_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE charger_kinds IS 'What chargers of one vendor, model and firmware have taught about themselves, `facts` as JSON.';
CREATE TABLE charger_statuses (
    installation_id uuid NOT NULL,
    version bigint NOT NULL,
    mode character varying(24) NOT NULL,
    is_online boolean NOT NULL,
    connector_status character varying(16) NOT NULL,
    error_code character varying(50),
    vendor_error_code character varying(50),
    status_at timestamp with time zone,
    status_received_at timestamp with time zone,
    session_id uuid,
    session_user_id uuid,
    session_energy_wh bigint,
    register_wh bigint,
    power_w double precision,
    current_l1 double precision,
    current_l2 double precision,
    current_l3 double precision,
    measured_at timestamp with time zone,
    allocated_a double precision,
    allocated_phases character varying(8) NOT NULL,
    observed_at timestamp with time zone,
    received_at timestamp with time zone,
    charger_id uuid NOT NULL,
    idle_since timestamp with time zone
)
WITH (fillfactor='40');
COMMENT ON TABLE charger_statuses IS 'The newest known state of a charger, one row a charger, made with it. Currents are per grid line.';
COMMENT ON COLUMN charger_statuses.mode IS 'UNKNOWN: UNKNOWN\nDISCONNECTED: DISCONNECTED\nAWAITING_AUTHORIZATION: AWAITING_AUTHORIZATION\nAWAITING_CURRENT: AWAITING_CURRENT\nCHARGING: CHARGING\nPAUSED: PAUSED\nFINISHED: FINISHED\nFAULTED: FAULTED';
COMMENT ON COLUMN charger_statuses.connector_status IS 'AVAILABLE: AVAILABLE\nPREPARING: PREPARING\nCHARGING: CHARGING\nSUSPENDED_EV: SUSPENDED_EV\nSUSPENDED_EVSE: SUSPENDED_EVSE\nFINISHING: FINISHING\nRESERVED: RESERVED\nUNAVAILABLE: UNAVAILABLE\nFAULTED: FAULTED\nUNKNOWN: UNKNOWN';
CREATE TABLE chargers (
    id uuid NOT NULL,
    evse integer NOT NULL,
    name character varying(200) NOT NULL,
    phase_rotation character varying(4) NOT NULL,
    min_current_a double precision NOT NULL,
    max_current_a double precision NOT NULL,
    offline_current_a double precision,
    can_switch_phases boolean NOT NULL,
    authentication_required boolean,
    is_enabled boolean NOT NULL,
    import_key character varying(200),
    created_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    circuit_id uuid NOT NULL,
    installation_id uuid NOT NULL,
    station_id uuid
);
COMMENT ON TABLE chargers IS 'One EVSE or connector. `offline_current_a` None: the balancer plans it, `authentication_required` None: as the site says.';
COMMENT ON COLUMN chargers.phase_rotation IS 'RST: RST\nSTR: STR\nTRS: TRS\nRTS: RTS\nSRT: SRT\nTSR: TSR\nL1: L1\nL2: L2\nL3: L3\nL1L2: L1L2\nL2L3: L2L3\nL3L1: L3L1';
CREATE TABLE circuits (
    id uuid NOT NULL,
    name character varying(200) NOT NULL,
    breaker_l1 double precision NOT NULL,
    breaker_l2 double precision NOT NULL,
    breaker_l3 double precision NOT NULL,
    safe_l1 double precision NOT NULL,
    safe_l2 double precision NOT NULL,
    safe_l3 double precision NOT NULL,
    assumed_l1 double precision NOT NULL,
    assumed_l2 double precision NOT NULL,
    assumed_l3 double precision NOT NULL,
    meter_l1 double precision,
    meter_l2 double precision,
    meter_l3 double precision,
    metered_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    installation_id uuid NOT NULL,
    parent_id uuid,
    meter_history text
);
COMMENT ON TABLE circuits IS 'A fuse and what hangs below it, `parent` None is the main breaker. Currents in A per grid line.';
CREATE TABLE commands (
    id uuid NOT NULL,
    installation_id uuid NOT NULL,
    session_id uuid,
    requested_by_id uuid,
    for_user_id uuid,
    action character varying(16) NOT NULL,
    state character varying(12) NOT NULL,
    id_token character varying(36),
    energy_target_wh bigint,
    departure_at timestamp with time zone,
    requested_at timestamp with time zone NOT NULL,
    deadline timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    detail character varying(500),
    charger_id uuid NOT NULL,
    external_session_id character varying(200),
    url character varying(512),
    retrieve_at timestamp with time zone
);
COMMENT ON TABLE commands IS 'A command with its deadline, by which it is final.';
COMMENT ON COLUMN commands.action IS 'START: START\nPAUSE: PAUSE\nRESUME: RESUME\nSTOP: STOP\nRESTART: RESTART\nUNLOCK: UNLOCK\nAUTHORIZE: AUTHORIZE\nUPDATE_FIRMWARE: UPDATE_FIRMWARE\nOTHER: OTHER';
COMMENT ON COLUMN commands.state IS 'QUEUED: QUEUED\nSENT: SENT\nACCEPTED: ACCEPTED\nREJECTED: REJECTED\nTIMEOUT: TIMEOUT\nERROR: ERROR\nOFFLINE: OFFLINE\nCONFIRMED: CONFIRMED\nUNCONFIRMED: UNCONFIRMED';
CREATE TABLE energy_intervals (
    id bigint NOT NULL,
    session_id uuid NOT NULL,
    installation_id uuid NOT NULL,
    start_at timestamp with time zone NOT NULL,
    end_at timestamp with time zone NOT NULL,
    energy_wh bigint NOT NULL,
    quality character varying(12) NOT NULL
);
COMMENT ON TABLE energy_intervals IS 'Part of a session''s energy, the parts of a session add up to its energy exactly.';
COMMENT ON COLUMN energy_intervals.quality IS 'MEASURED: MEASURED\nINTERPOLATED: INTERPOLATED\nESTIMATED: ESTIMATED';
CREATE SEQUENCE energy_intervals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE energy_intervals_id_seq OWNED BY energy_intervals.id;
CREATE TABLE exports (
    id uuid NOT NULL,
    kind character varying(16) NOT NULL,
    format character varying(8) NOT NULL,
    parameters text NOT NULL,
    state character varying(12) NOT NULL,
    progress double precision NOT NULL,
    row_count integer,
    file_name character varying(200),
    size_bytes bigint,
    created_at timestamp with time zone NOT NULL,
    claimed_until timestamp with time zone,
    finished_at timestamp with time zone,
    expires_at timestamp with time zone,
    error character varying(500),
    user_id uuid NOT NULL,
    delivery_id uuid,
    stumbles integer
);
COMMENT ON TABLE exports IS 'A file to be made: `parameters` is the JSON of what was asked, with the rights checked when asked and when made.';
COMMENT ON COLUMN exports.kind IS 'SUMMARY: SUMMARY\nSESSIONS: SESSIONS\nCOST: COST';
COMMENT ON COLUMN exports.format IS 'XLSX: XLSX\nCSV: CSV\nPDF: PDF';
COMMENT ON COLUMN exports.state IS 'QUEUED: QUEUED\nRUNNING: RUNNING\nREADY: READY\nFAILED: FAILED\nCANCELLED: CANCELLED\nEXPIRED: EXPIRED';
CREATE TABLE external_authentications (
    mode character varying(8) NOT NULL,
    url character varying(2000),
    timeout_s double precision NOT NULL,
    fail_policy character varying(12) NOT NULL,
    secret character varying(255),
    previous_secret character varying(255),
    previous_secret_until timestamp with time zone,
    passed_at timestamp with time zone,
    installation_id uuid NOT NULL,
    gone_at timestamp with time zone,
    paused_until timestamp with time zone
);
COMMENT ON TABLE external_authentications IS 'An installation''s external authentication system. Secrets are sealed, the previous one signs along until its time is over.';
COMMENT ON COLUMN external_authentications.mode IS 'OFF: OFF\nSHADOW: SHADOW\nENFORCE: ENFORCE';
COMMENT ON COLUMN external_authentications.fail_policy IS 'DENY: DENY\nALLOW_KNOWN: ALLOW_KNOWN\nALLOW_ALL: ALLOW_ALL';
CREATE TABLE external_users (
    id bigint NOT NULL,
    external_id character varying(200) NOT NULL,
    email character varying(320),
    created_at timestamp with time zone NOT NULL,
    account_id uuid NOT NULL,
    user_id uuid NOT NULL
);
COMMENT ON TABLE external_users IS 'A person as one service account knows them. `email` is what it told us, whoever has an account with that address.';
CREATE SEQUENCE external_users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE external_users_id_seq OWNED BY external_users.id;
CREATE TABLE group_members (
    id bigint NOT NULL,
    added_by_id uuid,
    added_at timestamp with time zone NOT NULL,
    group_id uuid NOT NULL,
    user_id uuid NOT NULL
);
COMMENT ON TABLE group_members IS 'A person is in a group.';
CREATE SEQUENCE group_members_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE group_members_id_seq OWNED BY group_members.id;
CREATE TABLE held_spans (
    id bigint NOT NULL,
    since timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL,
    charger_id uuid NOT NULL
);
COMMENT ON TABLE held_spans IS 'A time in which the portal offered nothing to a car that wanted current or was paused.';
CREATE SEQUENCE held_spans_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE held_spans_id_seq OWNED BY held_spans.id;
CREATE TABLE idempotency_keys (
    id bigint NOT NULL,
    user_id uuid NOT NULL,
    mutation character varying(64) NOT NULL,
    request_key character varying(200) NOT NULL,
    input_hash character varying(64) NOT NULL,
    result_type character varying(32),
    result_id uuid,
    created_at timestamp with time zone NOT NULL,
    result_json text
);
COMMENT ON TABLE idempotency_keys IS 'The answer to a mutation that named a key, kept for 24 h, `input_hash` tells another input under the same key.';
CREATE SEQUENCE idempotency_keys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE idempotency_keys_id_seq OWNED BY idempotency_keys.id;
CREATE TABLE installations (
    id uuid NOT NULL,
    name character varying(200) NOT NULL,
    street character varying(200),
    postal_code character varying(20),
    city character varying(100),
    country_code character varying(2) NOT NULL,
    time_zone character varying(64) NOT NULL,
    currency character varying(3) NOT NULL,
    category character varying(16) NOT NULL,
    network_type character varying(16) NOT NULL,
    available_l1 double precision,
    available_l2 double precision,
    available_l3 double precision,
    available_mode character varying(16) NOT NULL,
    available_expires_at timestamp with time zone,
    fallback_l1 double precision,
    fallback_l2 double precision,
    fallback_l3 double precision,
    three_to_one_switch_a double precision,
    authentication_required boolean NOT NULL,
    allows_concurrent boolean NOT NULL,
    is_active boolean NOT NULL,
    import_key character varying(200),
    created_at timestamp with time zone NOT NULL,
    resumed_mode character varying(16),
    current_schedule text
);
COMMENT ON TABLE installations IS 'A site. Its main breaker is its root circuit''s, `available_*` None means the main breaker.';
COMMENT ON COLUMN installations.category IS 'COMMUNITY: COMMUNITY\nCOMPANY: COMPANY\nPRIVATE: PRIVATE\nPUBLIC: PUBLIC';
COMMENT ON COLUMN installations.network_type IS 'TN_3_PHASE: TN_3_PHASE\nTN_1_PHASE: TN_1_PHASE\nIT_3_PHASE: IT_3_PHASE\nIT_1_PHASE: IT_1_PHASE';
COMMENT ON COLUMN installations.available_mode IS 'MANUAL: MANUAL\nSCHEDULE: SCHEDULE\nMETER: METER';
CREATE TABLE leases (
    name character varying(100) NOT NULL,
    holder character varying(64) NOT NULL,
    fence bigint NOT NULL,
    until timestamp with time zone NOT NULL
);
COMMENT ON TABLE leases IS 'A named right with an end, `fence` rises with every new holder.';
CREATE TABLE local_lists (
    version integer NOT NULL,
    entries text NOT NULL,
    is_supported boolean,
    synchronised_at timestamp with time zone,
    error character varying(300),
    station_id uuid NOT NULL
);
COMMENT ON TABLE local_lists IS 'The local authorization list that a station holds, as far as we know: `entries` is its JSON, `version` what we called it.';
CREATE TABLE locked_lines (
    id bigint NOT NULL,
    installation_id uuid NOT NULL,
    basis character varying(12) NOT NULL,
    from_date date NOT NULL,
    revision integer NOT NULL,
    session_id uuid,
    charger_id uuid,
    circuit_id uuid,
    user_id uuid,
    card_id uuid,
    session_count integer NOT NULL,
    energy_wh bigint NOT NULL,
    connected_s bigint NOT NULL,
    charging_s bigint NOT NULL,
    offline_count integer NOT NULL,
    unreliable_count integer NOT NULL,
    cost_minor bigint,
    currency character varying(3),
    vat_minor bigint,
    unknown_costs integer
);
COMMENT ON TABLE locked_lines IS 'What a locked report counted of a session in a period. The lines of a period add up to what was locked or corrected so far.';
COMMENT ON COLUMN locked_lines.basis IS 'REGISTERED: REGISTERED\nENDED: ENDED\nINTERVAL: INTERVAL';
CREATE SEQUENCE locked_lines_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE locked_lines_id_seq OWNED BY locked_lines.id;
CREATE TABLE locked_names (
    id bigint NOT NULL,
    report_id uuid NOT NULL,
    dimension character varying(12) NOT NULL,
    subject_id uuid NOT NULL,
    user_id uuid,
    name character varying(200) NOT NULL
);
COMMENT ON TABLE locked_names IS 'How a person or a card is called in a locked report, beside its document, as a name must be forgotten when its person is.';
COMMENT ON COLUMN locked_names.dimension IS 'CHARGER: CHARGER\nUSER: USER\nCHARGE_CARD: CHARGE_CARD\nCIRCUIT: CIRCUIT\nINSTALLATION: INSTALLATION\nDAY: DAY\nWEEK: WEEK\nMONTH: MONTH\nHOUR: HOUR';
CREATE SEQUENCE locked_names_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE locked_names_id_seq OWNED BY locked_names.id;
CREATE TABLE locked_reports (
    id uuid NOT NULL,
    basis character varying(12) NOT NULL,
    revision integer NOT NULL,
    from_date date NOT NULL,
    to_date date NOT NULL,
    time_zone character varying(64) NOT NULL,
    period_start_at timestamp with time zone NOT NULL,
    period_end_at timestamp with time zone NOT NULL,
    locked_at timestamp with time zone NOT NULL,
    locked_by_id uuid NOT NULL,
    document text NOT NULL,
    sha256 character varying(64) NOT NULL,
    installation_id uuid NOT NULL
);
COMMENT ON TABLE locked_reports IS 'A report that never changes. `document` is its canonical text, of which `sha256` is the digest. It names no person.';
COMMENT ON COLUMN locked_reports.basis IS 'REGISTERED: REGISTERED\nENDED: ENDED\nINTERVAL: INTERVAL';
CREATE TABLE mailed_secrets (
    id uuid NOT NULL,
    kind character varying(16) NOT NULL,
    email character varying(320) NOT NULL,
    digest character varying(64) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    user_id uuid NOT NULL
);
COMMENT ON TABLE mailed_secrets IS 'A secret that was sent by mail to prove that its reader has the address, good once. Only its digest is kept.';
COMMENT ON COLUMN mailed_secrets.kind IS 'VERIFY: VERIFY\nRESET: RESET';
CREATE TABLE meter_keys (
    id uuid NOT NULL,
    public_key character varying(512) NOT NULL,
    is_confirmed boolean NOT NULL,
    known_since timestamp with time zone NOT NULL,
    replaced_at timestamp with time zone,
    charger_id uuid NOT NULL
);
COMMENT ON TABLE meter_keys IS 'A public key that a charger''s meter signs with, from `known_since` until `replaced_at` (None: now).';
CREATE TABLE ocpp_messages (
    id uuid NOT NULL,
    station_id uuid NOT NULL,
    installation_id uuid,
    at timestamp with time zone NOT NULL,
    is_from_charger boolean NOT NULL,
    action character varying(50) NOT NULL,
    payload text NOT NULL
);
COMMENT ON TABLE ocpp_messages IS 'One message as people may read it, without card numbers and passwords. `installation_id` is where the station stood.';
CREATE TABLE offers (
    installation_id uuid NOT NULL,
    fence bigint NOT NULL,
    session_id uuid,
    confirmed_a double precision,
    confirmed_phases character varying(8) NOT NULL,
    confirmed_at timestamp with time zone,
    target_a double precision,
    target_phases character varying(8) NOT NULL,
    targeted_at timestamp with time zone,
    acknowledged_at timestamp with time zone,
    fallback_a double precision,
    waiting_since timestamp with time zone,
    charging_since timestamp with time zone,
    binding_limit character varying(24),
    limiting_circuit_id uuid,
    queue_position integer,
    reason character varying(300),
    decided_at timestamp with time zone,
    charger_id uuid NOT NULL,
    next_slot_at timestamp with time zone,
    settled_epoch bigint,
    admitted_tier integer,
    held_since timestamp with time zone
);
COMMENT ON TABLE offers IS 'What a charger may be drawing: an offer is a reservation until a lower one is confirmed.';
CREATE TABLE open_id_links (
    id bigint NOT NULL,
    issuer character varying(300) NOT NULL,
    subject character varying(255) NOT NULL,
    linked_at timestamp with time zone NOT NULL,
    user_id uuid NOT NULL
);
COMMENT ON TABLE open_id_links IS 'Who a person is at an outside OpenID Connect provider.';
CREATE SEQUENCE open_id_links_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE open_id_links_id_seq OWNED BY open_id_links.id;
CREATE TABLE outbox (
    id uuid NOT NULL,
    kind character varying(32) NOT NULL,
    payload text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    attempts integer NOT NULL,
    claimed_until timestamp with time zone,
    done_at timestamp with time zone,
    failed_at timestamp with time zone,
    error character varying(500)
);
COMMENT ON TABLE outbox IS 'Something to do outside the database. `kind` names the worker (mail, …), `payload` is its JSON.';
CREATE TABLE past_group_members (
    id bigint NOT NULL,
    group_id uuid NOT NULL,
    user_id uuid NOT NULL,
    added_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE past_group_members IS 'A person was in a group: what their charging cost then does not change when they leave it.';
CREATE SEQUENCE past_group_members_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE past_group_members_id_seq OWNED BY past_group_members.id;
CREATE TABLE permissions (
    id uuid NOT NULL,
    email character varying(320),
    role character varying(16) NOT NULL,
    valid_from timestamp with time zone NOT NULL,
    valid_to timestamp with time zone,
    granted_by_id uuid,
    granted_at timestamp with time zone NOT NULL,
    revoked_by_id uuid,
    revoked_at timestamp with time zone,
    invitation_expires_at timestamp with time zone,
    external_id character varying(200),
    charger_id uuid,
    installation_id uuid NOT NULL,
    user_id uuid,
    group_id uuid,
    invitation_digest character varying(64)
);
COMMENT ON TABLE permissions IS 'USER, OWNER or SERVICE for a person (`user`) or an invited address (`email`) on an installation or one charger in it.';
COMMENT ON COLUMN permissions.role IS 'USER: USER\nOWNER: OWNER\nSERVICE: SERVICE\nADMINISTRATOR: ADMINISTRATOR';
CREATE TABLE recovery_codes (
    id bigint NOT NULL,
    digest character varying(64) NOT NULL,
    user_id uuid NOT NULL
);
COMMENT ON TABLE recovery_codes IS 'Stands in for a one-time code when the telephone is lost, good once: then its row goes. Only its keyed digest is kept.';
CREATE SEQUENCE recovery_codes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE recovery_codes_id_seq OWNED BY recovery_codes.id;
CREATE TABLE report_deliveries (
    id uuid NOT NULL,
    from_date date NOT NULL,
    to_date date NOT NULL,
    subject character varying(254) NOT NULL,
    user_id uuid,
    recipient character varying(254) NOT NULL,
    state character varying(8) NOT NULL,
    planned_at timestamp with time zone NOT NULL,
    at timestamp with time zone,
    error character varying(500),
    export_id uuid,
    schedule_id uuid NOT NULL
);
COMMENT ON TABLE report_deliveries IS 'The report of one month to one recipient, so that nobody has it twice. `subject` tells recipients apart.';
COMMENT ON COLUMN report_deliveries.state IS 'WAITING: WAITING\nSENT: SENT\nFAILED: FAILED';
CREATE TABLE report_schedules (
    id uuid NOT NULL,
    kind character varying(16) NOT NULL,
    format character varying(8) NOT NULL,
    basis character varying(12) NOT NULL,
    group_by character varying(40) NOT NULL,
    is_per_person boolean NOT NULL,
    recipients text NOT NULL,
    created_by_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    next_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    installation_id uuid NOT NULL
);
COMMENT ON TABLE report_schedules IS 'A report that is sent every month. `group_by` has commas between, `recipients` is a JSON list of addresses.';
COMMENT ON COLUMN report_schedules.kind IS 'SUMMARY: SUMMARY\nSESSIONS: SESSIONS\nCOST: COST';
COMMENT ON COLUMN report_schedules.format IS 'XLSX: XLSX\nCSV: CSV\nPDF: PDF';
COMMENT ON COLUMN report_schedules.basis IS 'REGISTERED: REGISTERED\nENDED: ENDED\nINTERVAL: INTERVAL';
CREATE TABLE samples (
    id bigint NOT NULL,
    installation_id uuid NOT NULL,
    charger_id uuid NOT NULL,
    session_id uuid,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    context character varying(24) NOT NULL,
    register_wh bigint,
    power_w double precision,
    current_l1 double precision,
    current_l2 double precision,
    current_l3 double precision
);
COMMENT ON TABLE samples IS 'One meter reading, the natural key (charger, time, context) makes a repeated delivery harmless.';
CREATE SEQUENCE samples_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE samples_id_seq OWNED BY samples.id;
CREATE TABLE service_account_installations (
    id bigint NOT NULL,
    account_id uuid NOT NULL,
    installation_id uuid NOT NULL
);
COMMENT ON TABLE service_account_installations IS 'An installation where a service account has its scopes.';
CREATE SEQUENCE service_account_installations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE service_account_installations_id_seq OWNED BY service_account_installations.id;
CREATE TABLE service_accounts (
    id uuid NOT NULL,
    name character varying(200) NOT NULL,
    scopes character varying(255) NOT NULL,
    created_by_id uuid,
    created_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE service_accounts IS 'A program. `scopes` are names of Scope, joined by commas.';
CREATE TABLE session_events (
    id bigint NOT NULL,
    event_id uuid NOT NULL,
    installation_id uuid NOT NULL,
    session_id uuid NOT NULL,
    kind character varying(10) NOT NULL,
    payload text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    attempts integer NOT NULL,
    claimed_until timestamp with time zone,
    delivered_at timestamp with time zone,
    failed_at timestamp with time zone,
    error character varying(500),
    replayed_at timestamp with time zone
);
COMMENT ON TABLE session_events IS 'Something about a charge that an external system is told, in the order of `id`, each with its whole content in `payload`.';
COMMENT ON COLUMN session_events.kind IS 'STARTED: STARTED\nUPDATED: UPDATED\nENDED: ENDED\nREPLACED: REPLACED';
CREATE SEQUENCE session_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE session_events_id_seq OWNED BY session_events.id;
CREATE TABLE sign_ins (
    id uuid NOT NULL,
    refresh_hash character varying(64) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    refreshed_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    user_id uuid NOT NULL
);
COMMENT ON TABLE sign_ins IS 'One sign-in of a person: the family of its rotating refresh tokens, of which only the newest hash is valid.';
CREATE TABLE signed_records (
    id bigint NOT NULL,
    session_id uuid NOT NULL,
    installation_id uuid NOT NULL,
    place character varying(8) NOT NULL,
    at timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    format character varying(20) NOT NULL,
    record text NOT NULL
);
COMMENT ON TABLE signed_records IS 'A record of a session as the meter signed it, at most one for each place in it.';
COMMENT ON COLUMN signed_records.place IS 'BEGIN: BEGIN\nLATEST: LATEST\nEND: END';
CREATE SEQUENCE signed_records_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE signed_records_id_seq OWNED BY signed_records.id;
CREATE TABLE stations (
    id uuid NOT NULL,
    identity character varying(48) NOT NULL,
    password_hash character varying(64) NOT NULL,
    next_password_hash character varying(64),
    vendor character varying(100),
    model character varying(100),
    serial_number character varying(100),
    firmware_version character varying(100),
    protocol character varying(16),
    epoch integer NOT NULL,
    process character varying(64),
    is_connected boolean NOT NULL,
    connected_at timestamp with time zone,
    disconnected_at timestamp with time zone,
    booted_at timestamp with time zone,
    last_seen_at timestamp with time zone,
    last_transaction_id integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    profiles_ours_since timestamp with time zone,
    configured_as character varying(64),
    restarts integer,
    restarts_since timestamp with time zone,
    clock_offset_s double precision,
    security_profile integer,
    minimum_security_profile integer DEFAULT 1 NOT NULL
);
COMMENT ON TABLE stations IS 'One OCPP identity and its socket, a two-socket station is two chargers of one station.';
CREATE TABLE tariff_assignments (
    id uuid NOT NULL,
    installation_id uuid NOT NULL,
    user_id uuid,
    valid_from date NOT NULL,
    valid_to date,
    group_id uuid,
    tariff_id uuid NOT NULL
);
COMMENT ON TABLE tariff_assignments IS 'For whom a tariff holds on the local dates [valid_from, valid_to): a person, a group, or with neither all of the installation.';
CREATE TABLE tariff_prices (
    id bigint NOT NULL,
    start_at timestamp with time zone NOT NULL,
    end_at timestamp with time zone NOT NULL,
    price_micro bigint NOT NULL,
    tariff_id uuid NOT NULL
);
COMMENT ON TABLE tariff_prices IS 'The price of a kWh from `start_at` until `end_at`, in millionths of the currency, without VAT.';
CREATE SEQUENCE tariff_prices_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE tariff_prices_id_seq OWNED BY tariff_prices.id;
CREATE TABLE tariffs (
    id uuid NOT NULL,
    name character varying(200) NOT NULL,
    vat_micro bigint NOT NULL,
    parts text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    installation_id uuid NOT NULL
);
COMMENT ON TABLE tariffs IS 'What charging costs at an installation. `parts` is JSON (domain.pricing.parts), VAT is in millionths of a percent.';
CREATE TABLE tortoise_migrations (
    id integer NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE tortoise_migrations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE tortoise_migrations_id_seq OWNED BY tortoise_migrations.id;
CREATE TABLE unknown_chargers (
    id uuid NOT NULL,
    identity character varying(48) NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    attempts integer NOT NULL,
    address character varying(45) NOT NULL,
    protocol character varying(16),
    vendor character varying(100),
    model character varying(100),
    serial_number character varying(100),
    firmware_version character varying(100),
    password_hash character varying(64),
    is_contested boolean NOT NULL
);
COMMENT ON TABLE unknown_chargers IS 'A charger that knocked and that nobody has added, one row an identity, told by itself and believed in nothing.';
CREATE TABLE user_groups (
    id uuid NOT NULL,
    name character varying(200) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    installation_id uuid NOT NULL
);
COMMENT ON TABLE user_groups IS 'A named group, its grants are on its own installation or on chargers there.';
CREATE TABLE users (
    id uuid NOT NULL,
    name character varying(200) NOT NULL,
    email character varying(320),
    password_hash character varying(255),
    is_administrator boolean NOT NULL,
    is_active boolean NOT NULL,
    import_key character varying(200),
    created_at timestamp with time zone NOT NULL,
    erased_at timestamp with time zone,
    email_verified_at timestamp with time zone,
    totp_confirmed_at timestamp with time zone,
    totp_last_step bigint,
    totp_secret character varying(255)
);
COMMENT ON TABLE users IS 'A person. `email` is stored in lower case, None for people known from imported history or an external system only.';
ALTER TABLE ONLY card_blocks ALTER COLUMN id SET DEFAULT nextval('card_blocks_id_seq'::regclass);
ALTER TABLE ONLY energy_intervals ALTER COLUMN id SET DEFAULT nextval('energy_intervals_id_seq'::regclass);
ALTER TABLE ONLY external_users ALTER COLUMN id SET DEFAULT nextval('external_users_id_seq'::regclass);
ALTER TABLE ONLY group_members ALTER COLUMN id SET DEFAULT nextval('group_members_id_seq'::regclass);
ALTER TABLE ONLY held_spans ALTER COLUMN id SET DEFAULT nextval('held_spans_id_seq'::regclass);
ALTER TABLE ONLY idempotency_keys ALTER COLUMN id SET DEFAULT nextval('idempotency_keys_id_seq'::regclass);
ALTER TABLE ONLY locked_lines ALTER COLUMN id SET DEFAULT nextval('locked_lines_id_seq'::regclass);
ALTER TABLE ONLY locked_names ALTER COLUMN id SET DEFAULT nextval('locked_names_id_seq'::regclass);
ALTER TABLE ONLY open_id_links ALTER COLUMN id SET DEFAULT nextval('open_id_links_id_seq'::regclass);
ALTER TABLE ONLY past_group_members ALTER COLUMN id SET DEFAULT nextval('past_group_members_id_seq'::regclass);
ALTER TABLE ONLY recovery_codes ALTER COLUMN id SET DEFAULT nextval('recovery_codes_id_seq'::regclass);
ALTER TABLE ONLY samples ALTER COLUMN id SET DEFAULT nextval('samples_id_seq'::regclass);
ALTER TABLE ONLY service_account_installations ALTER COLUMN id SET DEFAULT nextval('service_account_installations_id_seq'::regclass);
ALTER TABLE ONLY session_events ALTER COLUMN id SET DEFAULT nextval('session_events_id_seq'::regclass);
ALTER TABLE ONLY signed_records ALTER COLUMN id SET DEFAULT nextval('signed_records_id_seq'::regclass);
ALTER TABLE ONLY tariff_prices ALTER COLUMN id SET DEFAULT nextval('tariff_prices_id_seq'::regclass);
ALTER TABLE ONLY tortoise_migrations ALTER COLUMN id SET DEFAULT nextval('tortoise_migrations_id_seq'::regclass);
ALTER TABLE ONLY alert_notices
    ADD CONSTRAINT alert_notices_key_key UNIQUE (key);
ALTER TABLE ONLY alert_notices
    ADD CONSTRAINT alert_notices_pkey PRIMARY KEY (id);
ALTER TABLE ONLY alert_subscriptions
    ADD CONSTRAINT alert_subscriptions_default_key_key UNIQUE (default_key);
ALTER TABLE ONLY alert_subscriptions
    ADD CONSTRAINT alert_subscriptions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY alerts
    ADD CONSTRAINT alerts_open_key_key UNIQUE (open_key);
ALTER TABLE ONLY alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY api_tokens
    ADD CONSTRAINT api_tokens_digest_key UNIQUE (digest);
ALTER TABLE ONLY api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY api_tokens
    ADD CONSTRAINT api_tokens_prefix_key UNIQUE (prefix);
ALTER TABLE ONLY audit_entries
    ADD CONSTRAINT audit_entries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authorization_attempts
    ADD CONSTRAINT authorization_attempts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY authorization_requests
    ADD CONSTRAINT authorization_requests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY balancing_decisions
    ADD CONSTRAINT balancing_decisions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY card_blocks
    ADD CONSTRAINT card_blocks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY card_enrollments
    ADD CONSTRAINT card_enrollments_pkey PRIMARY KEY (id);
ALTER TABLE ONLY charge_cards
    ADD CONSTRAINT charge_cards_number_key UNIQUE (number);
ALTER TABLE ONLY charge_cards
    ADD CONSTRAINT charge_cards_pkey PRIMARY KEY (id);
ALTER TABLE ONLY charge_sessions
    ADD CONSTRAINT charge_sessions_import_key_key UNIQUE (import_key);
ALTER TABLE ONLY charge_sessions
    ADD CONSTRAINT charge_sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY charger_kinds
    ADD CONSTRAINT charger_kinds_pkey PRIMARY KEY (id);
ALTER TABLE ONLY charger_statuses
    ADD CONSTRAINT charger_statuses_pkey PRIMARY KEY (charger_id);
ALTER TABLE ONLY chargers
    ADD CONSTRAINT chargers_import_key_key UNIQUE (import_key);
ALTER TABLE ONLY chargers
    ADD CONSTRAINT chargers_pkey PRIMARY KEY (id);
ALTER TABLE ONLY circuits
    ADD CONSTRAINT circuits_pkey PRIMARY KEY (id);
ALTER TABLE ONLY commands
    ADD CONSTRAINT commands_pkey PRIMARY KEY (id);
ALTER TABLE ONLY energy_intervals
    ADD CONSTRAINT energy_intervals_pkey PRIMARY KEY (id);
ALTER TABLE ONLY exports
    ADD CONSTRAINT exports_pkey PRIMARY KEY (id);
ALTER TABLE ONLY external_authentications
    ADD CONSTRAINT external_authentications_pkey PRIMARY KEY (installation_id);
ALTER TABLE ONLY external_users
    ADD CONSTRAINT external_users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY group_members
    ADD CONSTRAINT group_members_pkey PRIMARY KEY (id);
ALTER TABLE ONLY held_spans
    ADD CONSTRAINT held_spans_pkey PRIMARY KEY (id);
ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY installations
    ADD CONSTRAINT installations_import_key_key UNIQUE (import_key);
ALTER TABLE ONLY installations
    ADD CONSTRAINT installations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);
ALTER TABLE ONLY local_lists
    ADD CONSTRAINT local_lists_pkey PRIMARY KEY (station_id);
ALTER TABLE ONLY locked_lines
    ADD CONSTRAINT locked_lines_pkey PRIMARY KEY (id);
ALTER TABLE ONLY locked_names
    ADD CONSTRAINT locked_names_pkey PRIMARY KEY (id);
ALTER TABLE ONLY locked_reports
    ADD CONSTRAINT locked_reports_pkey PRIMARY KEY (id);
ALTER TABLE ONLY mailed_secrets
    ADD CONSTRAINT mailed_secrets_digest_key UNIQUE (digest);
ALTER TABLE ONLY mailed_secrets
    ADD CONSTRAINT mailed_secrets_pkey PRIMARY KEY (id);
ALTER TABLE ONLY meter_keys
    ADD CONSTRAINT meter_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY ocpp_messages
    ADD CONSTRAINT ocpp_messages_pkey PRIMARY KEY (id);
ALTER TABLE ONLY offers
    ADD CONSTRAINT offers_pkey PRIMARY KEY (charger_id);
ALTER TABLE ONLY open_id_links
    ADD CONSTRAINT open_id_links_pkey PRIMARY KEY (id);
ALTER TABLE ONLY outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY past_group_members
    ADD CONSTRAINT past_group_members_pkey PRIMARY KEY (id);
ALTER TABLE ONLY permissions
    ADD CONSTRAINT permissions_invitation_digest_key UNIQUE (invitation_digest);
ALTER TABLE ONLY permissions
    ADD CONSTRAINT permissions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY recovery_codes
    ADD CONSTRAINT recovery_codes_digest_key UNIQUE (digest);
ALTER TABLE ONLY recovery_codes
    ADD CONSTRAINT recovery_codes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY report_deliveries
    ADD CONSTRAINT report_deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY report_schedules
    ADD CONSTRAINT report_schedules_pkey PRIMARY KEY (id);
ALTER TABLE ONLY samples
    ADD CONSTRAINT samples_pkey PRIMARY KEY (id);
ALTER TABLE ONLY service_account_installations
    ADD CONSTRAINT service_account_installations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY service_accounts
    ADD CONSTRAINT service_accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY session_events
    ADD CONSTRAINT session_events_event_id_key UNIQUE (event_id);
ALTER TABLE ONLY session_events
    ADD CONSTRAINT session_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY sign_ins
    ADD CONSTRAINT sign_ins_pkey PRIMARY KEY (id);
ALTER TABLE ONLY sign_ins
    ADD CONSTRAINT sign_ins_refresh_hash_key UNIQUE (refresh_hash);
ALTER TABLE ONLY signed_records
    ADD CONSTRAINT signed_records_pkey PRIMARY KEY (id);
ALTER TABLE ONLY stations
    ADD CONSTRAINT stations_identity_key UNIQUE (identity);
ALTER TABLE ONLY stations
    ADD CONSTRAINT stations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY tariff_assignments
    ADD CONSTRAINT tariff_assignments_pkey PRIMARY KEY (id);
ALTER TABLE ONLY tariff_prices
    ADD CONSTRAINT tariff_prices_pkey PRIMARY KEY (id);
ALTER TABLE ONLY tariffs
    ADD CONSTRAINT tariffs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY tortoise_migrations
    ADD CONSTRAINT tortoise_migrations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY card_blocks
    ADD CONSTRAINT uid_card_blocks_card_id_08a774 UNIQUE (card_id, installation_id);
ALTER TABLE ONLY charge_cards
    ADD CONSTRAINT uid_charge_card_externa_242820 UNIQUE (external_account_id, external_id);
ALTER TABLE ONLY charge_sessions
    ADD CONSTRAINT uid_charge_sess_station_b946b9 UNIQUE (station_id, start_key);
ALTER TABLE ONLY charge_sessions
    ADD CONSTRAINT uid_charge_sess_station_f0f3d1 UNIQUE (station_id, transaction_id);
ALTER TABLE ONLY charger_kinds
    ADD CONSTRAINT uid_charger_kin_vendor_bc5fb2 UNIQUE (vendor, model, firmware);
ALTER TABLE ONLY chargers
    ADD CONSTRAINT uid_chargers_station_44d0c4 UNIQUE (station_id, evse);
ALTER TABLE ONLY energy_intervals
    ADD CONSTRAINT uid_energy_inte_session_48b586 UNIQUE (session_id, start_at);
ALTER TABLE ONLY external_users
    ADD CONSTRAINT uid_external_us_account_ca78e3 UNIQUE (account_id, external_id);
ALTER TABLE ONLY group_members
    ADD CONSTRAINT uid_group_membe_group_i_871198 UNIQUE (group_id, user_id);
ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT uid_idempotency_user_id_609428 UNIQUE (user_id, mutation, request_key);
ALTER TABLE ONLY locked_names
    ADD CONSTRAINT uid_locked_name_report__f972af UNIQUE (report_id, dimension, subject_id);
ALTER TABLE ONLY locked_reports
    ADD CONSTRAINT uid_locked_repo_install_cf0a28 UNIQUE (installation_id, basis, revision);
ALTER TABLE ONLY open_id_links
    ADD CONSTRAINT uid_open_id_lin_issuer_7a57da UNIQUE (issuer, subject);
ALTER TABLE ONLY report_deliveries
    ADD CONSTRAINT uid_report_deli_schedul_3fb274 UNIQUE (schedule_id, from_date, subject);
ALTER TABLE ONLY samples
    ADD CONSTRAINT uid_samples_charger_e1dcd6 UNIQUE (charger_id, at, context);
ALTER TABLE ONLY service_account_installations
    ADD CONSTRAINT uid_service_acc_account_23fe0f UNIQUE (account_id, installation_id);
ALTER TABLE ONLY signed_records
    ADD CONSTRAINT uid_signed_reco_session_36696e UNIQUE (session_id, place);
ALTER TABLE ONLY tariff_prices
    ADD CONSTRAINT uid_tariff_pric_tariff__7dea4a UNIQUE (tariff_id, start_at);
ALTER TABLE ONLY tortoise_migrations
    ADD CONSTRAINT uid_tortoise_mi_app_3803a5 UNIQUE (app, name);
ALTER TABLE ONLY user_groups
    ADD CONSTRAINT uid_user_groups_install_bcf617 UNIQUE (installation_id, name);
ALTER TABLE ONLY unknown_chargers
    ADD CONSTRAINT unknown_chargers_identity_key UNIQUE (identity);
ALTER TABLE ONLY unknown_chargers
    ADD CONSTRAINT unknown_chargers_pkey PRIMARY KEY (id);
ALTER TABLE ONLY user_groups
    ADD CONSTRAINT user_groups_pkey PRIMARY KEY (id);
ALTER TABLE ONLY users
    ADD CONSTRAINT users_email_key UNIQUE (email);
ALTER TABLE ONLY users
    ADD CONSTRAINT users_import_key_key UNIQUE (import_key);
ALTER TABLE ONLY users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE INDEX idx_alert_notic_alert_i_1c3e07 ON alert_notices USING btree (alert_id);
CREATE INDEX idx_alert_notic_mailed__e2552d ON alert_notices USING btree (mailed_at, due_at);
CREATE INDEX idx_alert_notic_subscri_c5a034 ON alert_notices USING btree (subscription_id);
CREATE INDEX idx_alert_subsc_install_7fcf2a ON alert_subscriptions USING btree (installation_id);
CREATE INDEX idx_alert_subsc_user_id_92fd2a ON alert_subscriptions USING btree (user_id);
CREATE INDEX idx_alerts_charger_3b687c ON alerts USING btree (charger_id);
CREATE INDEX idx_alerts_install_8eb59e ON alerts USING btree (installation_id, opened_at, id);
CREATE INDEX idx_api_tokens_account_c1e728 ON api_tokens USING btree (account_id);
CREATE INDEX idx_audit_entri_install_0c28e9 ON audit_entries USING btree (installation_id, at);
CREATE INDEX idx_audit_entri_object__25da3d ON audit_entries USING btree (object_id);
CREATE INDEX idx_authorizati_charger_16c4f1 ON authorization_requests USING btree (charger_id);
CREATE INDEX idx_authorizati_charger_a4ff6d ON authorization_attempts USING btree (charger_id, at, id);
CREATE INDEX idx_authorizati_decided_f808a9 ON authorization_requests USING btree (decided_at, expires_at);
CREATE INDEX idx_authorizati_install_7f3c63 ON authorization_attempts USING btree (installation_id, at, id);
CREATE INDEX idx_authorizati_install_9367e6 ON authorization_requests USING btree (installation_id, requested_at);
CREATE INDEX idx_authorizati_request_a9f6b0 ON authorization_attempts USING btree (request_id);
CREATE INDEX idx_authorizati_session_7a8eed ON authorization_attempts USING btree (session_id);
CREATE INDEX idx_authorizati_station_dc5344 ON authorization_attempts USING btree (station_id, token, at);
CREATE INDEX idx_authorizati_token_fc83df ON authorization_requests USING btree (token, requested_at);
CREATE INDEX idx_authorizati_user_id_3762f5 ON authorization_requests USING btree (user_id);
CREATE INDEX idx_authorizati_user_id_9608ae ON authorization_attempts USING btree (user_id);
CREATE INDEX idx_balancing_d_install_f52206 ON balancing_decisions USING btree (installation_id, decided_at, id);
CREATE INDEX idx_card_blocks_install_23a306 ON card_blocks USING btree (installation_id);
CREATE INDEX idx_card_enroll_charger_260c47 ON card_enrollments USING btree (charger_id, state);
CREATE INDEX idx_card_enroll_install_d2d7e4 ON card_enrollments USING btree (installation_id);
CREATE INDEX idx_charge_card_user_id_c83357 ON charge_cards USING btree (user_id);
CREATE INDEX idx_charge_sess_charger_acd9ae ON charge_sessions USING btree (charger_id, registered_at);
CREATE INDEX idx_charge_sess_charger_af5300 ON charge_sessions USING btree (charger_id, started_at, id);
CREATE INDEX idx_charge_sess_charger_fe3a15 ON charge_sessions USING btree (charger_id, state);
CREATE INDEX idx_charge_sess_id_toke_be5733 ON charge_sessions USING btree (id_token, state);
CREATE INDEX idx_charge_sess_inferre_aa9abe ON charge_sessions USING btree (inferred_end_due_at);
CREATE INDEX idx_charge_sess_install_29bcb1 ON charge_sessions USING btree (installation_id, started_at, id);
CREATE INDEX idx_charge_sess_install_6c8b2d ON charge_sessions USING btree (installation_id, registered_at);
CREATE INDEX idx_charge_sess_long ON charge_sessions USING btree (installation_id, started_at) WHERE (connected_s >= 2592000);
CREATE INDEX idx_charge_sess_replace_5166b1 ON charge_sessions USING btree (replaced_by_id);
CREATE INDEX idx_charge_sess_user_id_35d381 ON charge_sessions USING btree (user_id, started_at, id);
CREATE INDEX idx_charger_sta_install_78b798 ON charger_statuses USING btree (installation_id);
CREATE INDEX idx_chargers_circuit_d02f82 ON chargers USING btree (circuit_id);
CREATE INDEX idx_chargers_install_eb93f5 ON chargers USING btree (installation_id);
CREATE INDEX idx_chargers_station_e1360d ON chargers USING btree (station_id);
CREATE INDEX idx_circuits_install_a8612b ON circuits USING btree (installation_id);
CREATE INDEX idx_circuits_parent__f4c3cc ON circuits USING btree (parent_id);
CREATE INDEX idx_commands_charger_97289e ON commands USING btree (charger_id);
CREATE INDEX idx_commands_id_toke_3ac5d4 ON commands USING btree (id_token);
CREATE INDEX idx_commands_install_1c84cf ON commands USING btree (installation_id);
CREATE INDEX idx_commands_request_901008 ON commands USING btree (requested_by_id);
CREATE INDEX idx_commands_state_fe9dc5 ON commands USING btree (state, deadline);
CREATE INDEX idx_energy_inte_install_07c3c1 ON energy_intervals USING btree (installation_id, start_at);
CREATE INDEX idx_exports_user_id_a93f14 ON exports USING btree (user_id);
CREATE INDEX idx_external_us_user_id_c27eee ON external_users USING btree (user_id);
CREATE INDEX idx_group_membe_user_id_1ed761 ON group_members USING btree (user_id);
CREATE INDEX idx_held_spans_charger_2d5539 ON held_spans USING btree (charger_id, until);
CREATE INDEX idx_idempotency_created_944834 ON idempotency_keys USING btree (created_at);
CREATE INDEX idx_locked_line_install_19e83e ON locked_lines USING btree (installation_id, basis, from_date, session_id);
CREATE INDEX idx_locked_line_session_1565fe ON locked_lines USING btree (session_id);
CREATE INDEX idx_locked_line_user_id_7f2d2e ON locked_lines USING btree (user_id);
CREATE INDEX idx_locked_name_user_id_6c5080 ON locked_names USING btree (user_id);
CREATE INDEX idx_mailed_secr_user_id_3e82d8 ON mailed_secrets USING btree (user_id);
CREATE INDEX idx_meter_keys_charger_40f1a3 ON meter_keys USING btree (charger_id, known_since);
CREATE INDEX idx_ocpp_messag_station_59534c ON ocpp_messages USING btree (station_id, at, id);
CREATE INDEX idx_offers_install_690518 ON offers USING btree (installation_id);
CREATE INDEX idx_open_id_lin_user_id_b661cc ON open_id_links USING btree (user_id);
CREATE INDEX idx_outbox_done_at_aa8071 ON outbox USING btree (done_at, kind, due_at);
CREATE INDEX idx_past_group__group_i_6467af ON past_group_members USING btree (group_id, user_id);
CREATE INDEX idx_permissions_charger_66db77 ON permissions USING btree (charger_id);
CREATE INDEX idx_permissions_email_935d11 ON permissions USING btree (email);
CREATE INDEX idx_permissions_group_i_35abb6 ON permissions USING btree (group_id);
CREATE INDEX idx_permissions_install_dba0e6 ON permissions USING btree (installation_id);
CREATE INDEX idx_permissions_user_id_9772d7 ON permissions USING btree (user_id);
CREATE INDEX idx_recovery_co_user_id_d439e4 ON recovery_codes USING btree (user_id);
CREATE INDEX idx_report_deli_user_id_6f1ef5 ON report_deliveries USING btree (user_id);
CREATE INDEX idx_report_sche_install_476473 ON report_schedules USING btree (installation_id);
CREATE INDEX idx_report_sche_next_at_4f24ed ON report_schedules USING btree (next_at);
CREATE INDEX idx_samples_session_bf9d95 ON samples USING btree (session_id);
CREATE INDEX idx_service_acc_install_bf9ccc ON service_account_installations USING btree (installation_id);
CREATE INDEX idx_session_eve_created_dfcf87 ON session_events USING btree (created_at);
CREATE INDEX idx_session_eve_install_ea6932 ON session_events USING btree (installation_id, id);
CREATE INDEX idx_session_eve_session_e0843e ON session_events USING btree (session_id, id);
CREATE INDEX idx_sign_ins_user_id_a8af9a ON sign_ins USING btree (user_id);
CREATE INDEX idx_tariff_assi_group_i_0045a2 ON tariff_assignments USING btree (group_id);
CREATE INDEX idx_tariff_assi_install_5e60c5 ON tariff_assignments USING btree (installation_id);
CREATE INDEX idx_tariff_assi_tariff__7d1988 ON tariff_assignments USING btree (tariff_id);
CREATE INDEX idx_tariff_assi_user_id_6ee50e ON tariff_assignments USING btree (user_id);
CREATE INDEX idx_tariffs_install_c8b7da ON tariffs USING btree (installation_id);
CREATE INDEX idx_unknown_cha_last_se_7ae483 ON unknown_chargers USING btree (last_seen_at);
CREATE INDEX session_events_due ON session_events USING btree (installation_id, due_at, id) WHERE ((delivered_at IS NULL) AND (failed_at IS NULL));
CREATE INDEX session_events_given_up ON session_events USING btree (installation_id, id) WHERE (failed_at IS NOT NULL);
CREATE INDEX session_events_waiting ON session_events USING btree (session_id, id) WHERE ((delivered_at IS NULL) AND (failed_at IS NULL));
ALTER TABLE ONLY alert_notices
    ADD CONSTRAINT alert_notices_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES alert_subscriptions(id) ON DELETE CASCADE;
ALTER TABLE ONLY alert_subscriptions
    ADD CONSTRAINT alert_subscriptions_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE CASCADE;
ALTER TABLE ONLY alert_subscriptions
    ADD CONSTRAINT alert_subscriptions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY alerts
    ADD CONSTRAINT alerts_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY api_tokens
    ADD CONSTRAINT api_tokens_account_id_fkey FOREIGN KEY (account_id) REFERENCES service_accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY card_blocks
    ADD CONSTRAINT card_blocks_card_id_fkey FOREIGN KEY (card_id) REFERENCES charge_cards(id) ON DELETE CASCADE;
ALTER TABLE ONLY card_blocks
    ADD CONSTRAINT card_blocks_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE CASCADE;
ALTER TABLE ONLY card_enrollments
    ADD CONSTRAINT card_enrollments_charger_id_fkey FOREIGN KEY (charger_id) REFERENCES chargers(id) ON DELETE CASCADE;
ALTER TABLE ONLY card_enrollments
    ADD CONSTRAINT card_enrollments_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY charge_cards
    ADD CONSTRAINT charge_cards_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE RESTRICT;
ALTER TABLE ONLY charge_sessions
    ADD CONSTRAINT charge_sessions_charger_id_fkey FOREIGN KEY (charger_id) REFERENCES chargers(id) ON DELETE RESTRICT;
ALTER TABLE ONLY charge_sessions
    ADD CONSTRAINT charge_sessions_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY charger_statuses
    ADD CONSTRAINT charger_statuses_charger_id_fkey FOREIGN KEY (charger_id) REFERENCES chargers(id) ON DELETE CASCADE;
ALTER TABLE ONLY chargers
    ADD CONSTRAINT chargers_circuit_id_fkey FOREIGN KEY (circuit_id) REFERENCES circuits(id) ON DELETE RESTRICT;
ALTER TABLE ONLY chargers
    ADD CONSTRAINT chargers_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY chargers
    ADD CONSTRAINT chargers_station_id_fkey FOREIGN KEY (station_id) REFERENCES stations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY circuits
    ADD CONSTRAINT circuits_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY circuits
    ADD CONSTRAINT circuits_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES circuits(id) ON DELETE RESTRICT;
ALTER TABLE ONLY commands
    ADD CONSTRAINT commands_charger_id_fkey FOREIGN KEY (charger_id) REFERENCES chargers(id) ON DELETE RESTRICT;
ALTER TABLE ONLY exports
    ADD CONSTRAINT exports_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY external_authentications
    ADD CONSTRAINT external_authentications_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE CASCADE;
ALTER TABLE ONLY external_users
    ADD CONSTRAINT external_users_account_id_fkey FOREIGN KEY (account_id) REFERENCES service_accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY external_users
    ADD CONSTRAINT external_users_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY group_members
    ADD CONSTRAINT group_members_group_id_fkey FOREIGN KEY (group_id) REFERENCES user_groups(id) ON DELETE CASCADE;
ALTER TABLE ONLY group_members
    ADD CONSTRAINT group_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY held_spans
    ADD CONSTRAINT held_spans_charger_id_fkey FOREIGN KEY (charger_id) REFERENCES chargers(id) ON DELETE CASCADE;
ALTER TABLE ONLY local_lists
    ADD CONSTRAINT local_lists_station_id_fkey FOREIGN KEY (station_id) REFERENCES stations(id) ON DELETE CASCADE;
ALTER TABLE ONLY locked_reports
    ADD CONSTRAINT locked_reports_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY mailed_secrets
    ADD CONSTRAINT mailed_secrets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY meter_keys
    ADD CONSTRAINT meter_keys_charger_id_fkey FOREIGN KEY (charger_id) REFERENCES chargers(id) ON DELETE RESTRICT;
ALTER TABLE ONLY offers
    ADD CONSTRAINT offers_charger_id_fkey FOREIGN KEY (charger_id) REFERENCES chargers(id) ON DELETE CASCADE;
ALTER TABLE ONLY open_id_links
    ADD CONSTRAINT open_id_links_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY permissions
    ADD CONSTRAINT permissions_charger_id_fkey FOREIGN KEY (charger_id) REFERENCES chargers(id) ON DELETE RESTRICT;
ALTER TABLE ONLY permissions
    ADD CONSTRAINT permissions_group_id_fkey FOREIGN KEY (group_id) REFERENCES user_groups(id) ON DELETE RESTRICT;
ALTER TABLE ONLY permissions
    ADD CONSTRAINT permissions_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY permissions
    ADD CONSTRAINT permissions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE RESTRICT;
ALTER TABLE ONLY recovery_codes
    ADD CONSTRAINT recovery_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY report_deliveries
    ADD CONSTRAINT report_deliveries_schedule_id_fkey FOREIGN KEY (schedule_id) REFERENCES report_schedules(id) ON DELETE RESTRICT;
ALTER TABLE ONLY report_schedules
    ADD CONSTRAINT report_schedules_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY service_account_installations
    ADD CONSTRAINT service_account_installations_account_id_fkey FOREIGN KEY (account_id) REFERENCES service_accounts(id) ON DELETE CASCADE;
ALTER TABLE ONLY service_account_installations
    ADD CONSTRAINT service_account_installations_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE CASCADE;
ALTER TABLE ONLY sign_ins
    ADD CONSTRAINT sign_ins_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;
ALTER TABLE ONLY tariff_assignments
    ADD CONSTRAINT tariff_assignments_group_id_fkey FOREIGN KEY (group_id) REFERENCES user_groups(id) ON DELETE RESTRICT;
ALTER TABLE ONLY tariff_assignments
    ADD CONSTRAINT tariff_assignments_tariff_id_fkey FOREIGN KEY (tariff_id) REFERENCES tariffs(id) ON DELETE RESTRICT;
ALTER TABLE ONLY tariff_prices
    ADD CONSTRAINT tariff_prices_tariff_id_fkey FOREIGN KEY (tariff_id) REFERENCES tariffs(id) ON DELETE CASCADE;
ALTER TABLE ONLY tariffs
    ADD CONSTRAINT tariffs_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
ALTER TABLE ONLY user_groups
    ADD CONSTRAINT user_groups_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES installations(id) ON DELETE RESTRICT;
INSERT INTO tortoise_migrations (app, name, applied_at) VALUES
  ('domain', '0001_initial', now()),
  ('domain', '0002_access_and_authorization', now()),
  ('domain', '0003_sessions_by_successor_and_token', now()),
  ('domain', '0004_questions_called_once', now()),
  ('domain', '0005_charger_kinds', now()),
  ('domain', '0006_local_lists_without_limits', now()),
  ('domain', '0007_pending_session_events', now()),
  ('domain', '0008_ocpp_messages', now()),
  ('domain', '0009_session_events_in_their_time', now()),
  ('domain', '0010_firmware', now()),
  ('domain', '0011_accounts_of_the_first_release', now()),
  ('domain', '0012_recovery_codes', now()),
  ('domain', '0013_room_for_new_versions', now()),
  ('domain', '0014_what_stations_hold', now()),
  ('domain', '0015_unknown_chargers', now()),
  ('domain', '0016_what_chargers_do', now()),
  ('domain', '0017_clocks_of_stations', now()),
  ('domain', '0018_security_profiles', now()),
  ('domain', '0019_histories_of_meters', now()),
  ('domain', '0020_next_slots', now()),
  ('domain', '0021_current_schedules', now()),
  ('domain', '0022_tariffs', now()),
  ('domain', '0023_signed_records', now()),
  ('domain', '0024_alerts_of_all_things', now()),
  ('domain', '0025_locked_reports', now()),
  ('domain', '0026_newest_of_each_charger', now()),
  ('domain', '0027_alert_subscriptions', now()),
  ('domain', '0028_report_schedules', now()),
  ('domain', '0029_costs_of_locked_lines', now()),
  ('domain', '0030_long_sessions', now()),
  ('domain', '0031_settled_offers', now()),
  ('domain', '0032_stumbles_of_exports', now()),
  ('domain', '0033_held_spans', now());
COMMIT;
