-- Written by `make tables`: what all migrations together come to. Not to be changed by hand.
BEGIN;
CREATE TABLE "tortoise_migrations" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "app" VARCHAR(255) NOT NULL,
    "name" VARCHAR(255) NOT NULL,
    "applied_at" TIMESTAMP NOT NULL,
    CONSTRAINT "uid_tortoise_mi_app_3803a5" UNIQUE ("app", "name")
);
CREATE TABLE "audit_entries" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "installation_id" CHAR(36),
    "at" TIMESTAMP NOT NULL,
    "actor_id" CHAR(36),
    "actor" VARCHAR(200) NOT NULL,
    "action" VARCHAR(64) NOT NULL,
    "object_type" VARCHAR(32) NOT NULL,
    "object_id" CHAR(36),
    "state_before" TEXT,
    "state_after" TEXT
);
CREATE INDEX "idx_audit_entri_object__25da3d" ON "audit_entries" ("object_id");
CREATE INDEX "idx_audit_entri_install_0c28e9" ON "audit_entries" ("installation_id", "at");
CREATE TABLE "balancing_decisions" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "installation_id" CHAR(36) NOT NULL,
    "decided_at" TIMESTAMP NOT NULL,
    "triggered_by" VARCHAR(64) NOT NULL,
    "instance" TEXT NOT NULL,
    "allocation" TEXT NOT NULL
);
CREATE INDEX "idx_balancing_d_install_f52206" ON "balancing_decisions" ("installation_id", "decided_at", "id");
CREATE TABLE "energy_intervals" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "session_id" CHAR(36) NOT NULL,
    "installation_id" CHAR(36) NOT NULL,
    "start_at" TIMESTAMP NOT NULL,
    "end_at" TIMESTAMP NOT NULL,
    "energy_wh" BIGINT NOT NULL,
    "quality" VARCHAR(12) NOT NULL  /* MEASURED: MEASURED\nINTERPOLATED: INTERPOLATED\nESTIMATED: ESTIMATED */,
    CONSTRAINT "uid_energy_inte_session_48b586" UNIQUE ("session_id", "start_at")
);
CREATE INDEX "idx_energy_inte_install_07c3c1" ON "energy_intervals" ("installation_id", "start_at");
CREATE TABLE "idempotency_keys" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "user_id" CHAR(36) NOT NULL,
    "mutation" VARCHAR(64) NOT NULL,
    "request_key" VARCHAR(200) NOT NULL,
    "input_hash" VARCHAR(64) NOT NULL,
    "result_type" VARCHAR(32),
    "result_id" CHAR(36),
    "created_at" TIMESTAMP NOT NULL, "result_json" TEXT,
    CONSTRAINT "uid_idempotency_user_id_609428" UNIQUE ("user_id", "mutation", "request_key")
);
CREATE INDEX "idx_idempotency_created_944834" ON "idempotency_keys" ("created_at");
CREATE TABLE "installations" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "name" VARCHAR(200) NOT NULL,
    "street" VARCHAR(200),
    "postal_code" VARCHAR(20),
    "city" VARCHAR(100),
    "country_code" VARCHAR(2) NOT NULL,
    "time_zone" VARCHAR(64) NOT NULL,
    "currency" VARCHAR(3) NOT NULL,
    "category" VARCHAR(16) NOT NULL  /* COMMUNITY: COMMUNITY\nCOMPANY: COMPANY\nPRIVATE: PRIVATE\nPUBLIC: PUBLIC */,
    "network_type" VARCHAR(16) NOT NULL  /* TN_3_PHASE: TN_3_PHASE\nTN_1_PHASE: TN_1_PHASE\nIT_3_PHASE: IT_3_PHASE\nIT_1_PHASE: IT_1_PHASE */,
    "available_l1" REAL,
    "available_l2" REAL,
    "available_l3" REAL,
    "available_mode" VARCHAR(16) NOT NULL  /* MANUAL: MANUAL\nSCHEDULE: SCHEDULE\nMETER: METER */,
    "available_expires_at" TIMESTAMP,
    "fallback_l1" REAL,
    "fallback_l2" REAL,
    "fallback_l3" REAL,
    "three_to_one_switch_a" REAL,
    "authentication_required" INT NOT NULL,
    "allows_concurrent" INT NOT NULL,
    "is_active" INT NOT NULL,
    "import_key" VARCHAR(200)  UNIQUE,
    "created_at" TIMESTAMP NOT NULL
, "resumed_mode" VARCHAR(16), "current_schedule" TEXT);
CREATE TABLE "alerts" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "charger_id" CHAR(36),
    "kind" VARCHAR(32) NOT NULL  /* UNKNOWN: UNKNOWN\nCHARGER_OFFLINE: CHARGER_OFFLINE\nINSTALLATION_OFFLINE: INSTALLATION_OFFLINE\nCABLE_FAULT: CABLE_FAULT\nCONNECTOR_LOCK: CONNECTOR_LOCK\nGROUND_FAULT: GROUND_FAULT\nCONTACTOR_WELDED: CONTACTOR_WELDED\nOVER_TEMPERATURE: OVER_TEMPERATURE\nOVERCURRENT: OVERCURRENT\nVOLTAGE: VOLTAGE\nMETER_FAULT: METER_FAULT\nREADER_FAULT: READER_FAULT\nVEHICLE_COMMUNICATION: VEHICLE_COMMUNICATION\nINTERNAL: INTERNAL\nNO_CURRENT: NO_CURRENT\nCIRCUIT_OVERLOAD: CIRCUIT_OVERLOAD\nMETER_STALE: METER_STALE\nBALANCER_DEGRADED: BALANCER_DEGRADED\nEXTERNAL_AUTHENTICATION_DOWN: EXTERNAL_AUTHENTICATION_DOWN\nUNKNOWN_CARD_REPEATED: UNKNOWN_CARD_REPEATED\nCLOCK_UNRELIABLE: CLOCK_UNRELIABLE\nOFFLINE_SESSIONS_RECEIVED: OFFLINE_SESSIONS_RECEIVED */,
    "severity" VARCHAR(8) NOT NULL  /* INFO: INFO\nWARNING: WARNING\nERROR: ERROR\nCRITICAL: CRITICAL */,
    "state" VARCHAR(12) NOT NULL  /* OPEN: OPEN\nACKNOWLEDGED: ACKNOWLEDGED\nRESOLVED: RESOLVED */,
    "open_key" VARCHAR(100)  UNIQUE,
    "message" VARCHAR(500) NOT NULL,
    "vendor_code" VARCHAR(50),
    "opened_at" TIMESTAMP NOT NULL,
    "acknowledged_at" TIMESTAMP,
    "acknowledged_by_id" CHAR(36),
    "note" VARCHAR(500),
    "resolved_at" TIMESTAMP,
    "occurrences" INT NOT NULL,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT
, "circuit_id" CHAR(36), "folded_into_id" CHAR(36), "reopenings" INT, "reopened_at" TIMESTAMP, "info" VARCHAR(300), "began_at" TIMESTAMP);
CREATE INDEX "idx_alerts_charger_3b687c" ON "alerts" ("charger_id");
CREATE INDEX "idx_alerts_install_8eb59e" ON "alerts" ("installation_id", "opened_at", "id");
CREATE TABLE "circuits" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "name" VARCHAR(200) NOT NULL,
    "breaker_l1" REAL NOT NULL,
    "breaker_l2" REAL NOT NULL,
    "breaker_l3" REAL NOT NULL,
    "safe_l1" REAL NOT NULL,
    "safe_l2" REAL NOT NULL,
    "safe_l3" REAL NOT NULL,
    "assumed_l1" REAL NOT NULL,
    "assumed_l2" REAL NOT NULL,
    "assumed_l3" REAL NOT NULL,
    "meter_l1" REAL,
    "meter_l2" REAL,
    "meter_l3" REAL,
    "metered_at" TIMESTAMP,
    "created_at" TIMESTAMP NOT NULL,
    "removed_at" TIMESTAMP,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT,
    "parent_id" CHAR(36) REFERENCES "circuits" ("id") ON DELETE RESTRICT
, "meter_history" TEXT);
CREATE INDEX "idx_circuits_install_a8612b" ON "circuits" ("installation_id");
CREATE INDEX "idx_circuits_parent__f4c3cc" ON "circuits" ("parent_id");
CREATE TABLE "leases" (
    "name" VARCHAR(100) NOT NULL  PRIMARY KEY,
    "holder" VARCHAR(64) NOT NULL,
    "fence" BIGINT NOT NULL,
    "until" TIMESTAMP NOT NULL
);
CREATE TABLE "outbox" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(32) NOT NULL,
    "payload" TEXT NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "due_at" TIMESTAMP NOT NULL,
    "attempts" INT NOT NULL,
    "claimed_until" TIMESTAMP,
    "done_at" TIMESTAMP,
    "failed_at" TIMESTAMP,
    "error" VARCHAR(500)
);
CREATE INDEX "idx_outbox_done_at_aa8071" ON "outbox" ("done_at", "kind", "due_at");
CREATE TABLE "samples" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "installation_id" CHAR(36) NOT NULL,
    "charger_id" CHAR(36) NOT NULL,
    "session_id" CHAR(36),
    "at" TIMESTAMP NOT NULL,
    "received_at" TIMESTAMP NOT NULL,
    "context" VARCHAR(24) NOT NULL,
    "register_wh" BIGINT,
    "power_w" REAL,
    "current_l1" REAL,
    "current_l2" REAL,
    "current_l3" REAL,
    CONSTRAINT "uid_samples_charger_e1dcd6" UNIQUE ("charger_id", "at", "context")
);
CREATE INDEX "idx_samples_session_bf9d95" ON "samples" ("session_id");
CREATE TABLE "stations" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "identity" VARCHAR(48) NOT NULL UNIQUE,
    "password_hash" VARCHAR(64) NOT NULL,
    "next_password_hash" VARCHAR(64),
    "vendor" VARCHAR(100),
    "model" VARCHAR(100),
    "serial_number" VARCHAR(100),
    "firmware_version" VARCHAR(100),
    "protocol" VARCHAR(16),
    "epoch" INT NOT NULL,
    "process" VARCHAR(64),
    "is_connected" INT NOT NULL,
    "connected_at" TIMESTAMP,
    "disconnected_at" TIMESTAMP,
    "booted_at" TIMESTAMP,
    "last_seen_at" TIMESTAMP,
    "last_transaction_id" INT NOT NULL,
    "created_at" TIMESTAMP NOT NULL
, "profiles_ours_since" TIMESTAMP, "configured_as" VARCHAR(64), "restarts" INT, "restarts_since" TIMESTAMP, "clock_offset_s" REAL, "security_profile" INT, "minimum_security_profile" INT NOT NULL DEFAULT 1);
CREATE TABLE "chargers" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "evse" INT NOT NULL,
    "name" VARCHAR(200) NOT NULL,
    "phase_rotation" VARCHAR(4) NOT NULL  /* RST: RST\nSTR: STR\nTRS: TRS\nRTS: RTS\nSRT: SRT\nTSR: TSR\nL1: L1\nL2: L2\nL3: L3\nL1L2: L1L2\nL2L3: L2L3\nL3L1: L3L1 */,
    "min_current_a" REAL NOT NULL,
    "max_current_a" REAL NOT NULL,
    "offline_current_a" REAL,
    "can_switch_phases" INT NOT NULL,
    "authentication_required" INT,
    "is_enabled" INT NOT NULL,
    "import_key" VARCHAR(200)  UNIQUE,
    "created_at" TIMESTAMP NOT NULL,
    "removed_at" TIMESTAMP,
    "circuit_id" CHAR(36) NOT NULL REFERENCES "circuits" ("id") ON DELETE RESTRICT,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT,
    "station_id" CHAR(36) REFERENCES "stations" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_chargers_station_44d0c4" UNIQUE ("station_id", "evse")
);
CREATE INDEX "idx_chargers_circuit_d02f82" ON "chargers" ("circuit_id");
CREATE INDEX "idx_chargers_install_eb93f5" ON "chargers" ("installation_id");
CREATE INDEX "idx_chargers_station_e1360d" ON "chargers" ("station_id");
CREATE TABLE "charge_sessions" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "circuit_id" CHAR(36),
    "user_id" CHAR(36),
    "card_id" CHAR(36),
    "installation_name" VARCHAR(200) NOT NULL,
    "circuit_name" VARCHAR(200),
    "charger_name" VARCHAR(200) NOT NULL,
    "user_name" VARCHAR(200),
    "card_name" VARCHAR(100),
    "time_zone" VARCHAR(64) NOT NULL,
    "id_token" VARCHAR(64),
    "station_id" CHAR(36),
    "transaction_id" VARCHAR(64),
    "start_key" VARCHAR(200),
    "stop_key" VARCHAR(200),
    "import_key" VARCHAR(200)  UNIQUE,
    "external_id" VARCHAR(200),
    "state" VARCHAR(8) NOT NULL  /* ACTIVE: ACTIVE\nENDED: ENDED\nVOID: VOID */,
    "flags" INT NOT NULL,
    "authorized_at" TIMESTAMP,
    "started_at" TIMESTAMP NOT NULL,
    "ended_at" TIMESTAMP,
    "registered_at" TIMESTAMP,
    "last_event_at" TIMESTAMP,
    "device_started_at" TIMESTAMP,
    "inferred_end_due_at" TIMESTAMP,
    "meter_start_wh" BIGINT,
    "meter_last_wh" BIGINT,
    "meter_stop_wh" BIGINT,
    "energy_wh" BIGINT,
    "connected_s" INT NOT NULL,
    "charging_s" INT NOT NULL,
    "stop_reason" VARCHAR(24)   /* UNKNOWN: UNKNOWN\nCARD: CARD\nAPP: APP\nREMOTE: REMOTE\nVEHICLE_DISCONNECTED: VEHICLE_DISCONNECTED\nVEHICLE_STOPPED: VEHICLE_STOPPED\nPOWER_LOSS: POWER_LOSS\nRESTART: RESTART\nFAULT: FAULT\nBALANCER: BALANCER\nDEAUTHORIZED: DEAUTHORIZED\nOTHER: OTHER */,
    "is_paused" INT NOT NULL,
    "priority" INT NOT NULL,
    "energy_target_wh" BIGINT,
    "departure_at" TIMESTAMP,
    "replaced_by_id" CHAR(36),
    "created_at" TIMESTAMP NOT NULL,
    "charger_id" CHAR(36) NOT NULL REFERENCES "chargers" ("id") ON DELETE RESTRICT,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_charge_sess_station_f0f3d1" UNIQUE ("station_id", "transaction_id"),
    CONSTRAINT "uid_charge_sess_station_b946b9" UNIQUE ("station_id", "start_key")
);
CREATE INDEX "idx_charge_sess_install_29bcb1" ON "charge_sessions" ("installation_id", "started_at", "id");
CREATE INDEX "idx_charge_sess_install_6c8b2d" ON "charge_sessions" ("installation_id", "registered_at");
CREATE INDEX "idx_charge_sess_charger_af5300" ON "charge_sessions" ("charger_id", "started_at", "id");
CREATE INDEX "idx_charge_sess_user_id_35d381" ON "charge_sessions" ("user_id", "started_at", "id");
CREATE INDEX "idx_charge_sess_charger_fe3a15" ON "charge_sessions" ("charger_id", "state");
CREATE INDEX "idx_charge_sess_inferre_aa9abe" ON "charge_sessions" ("inferred_end_due_at");
CREATE TABLE "charger_statuses" (
    "installation_id" CHAR(36) NOT NULL,
    "version" BIGINT NOT NULL,
    "mode" VARCHAR(24) NOT NULL  /* UNKNOWN: UNKNOWN\nDISCONNECTED: DISCONNECTED\nAWAITING_AUTHORIZATION: AWAITING_AUTHORIZATION\nAWAITING_CURRENT: AWAITING_CURRENT\nCHARGING: CHARGING\nPAUSED: PAUSED\nFINISHED: FINISHED\nFAULTED: FAULTED */,
    "is_online" INT NOT NULL,
    "connector_status" VARCHAR(16) NOT NULL  /* AVAILABLE: AVAILABLE\nPREPARING: PREPARING\nCHARGING: CHARGING\nSUSPENDED_EV: SUSPENDED_EV\nSUSPENDED_EVSE: SUSPENDED_EVSE\nFINISHING: FINISHING\nRESERVED: RESERVED\nUNAVAILABLE: UNAVAILABLE\nFAULTED: FAULTED\nUNKNOWN: UNKNOWN */,
    "error_code" VARCHAR(50),
    "vendor_error_code" VARCHAR(50),
    "status_at" TIMESTAMP,
    "status_received_at" TIMESTAMP,
    "session_id" CHAR(36),
    "session_user_id" CHAR(36),
    "session_energy_wh" BIGINT,
    "register_wh" BIGINT,
    "power_w" REAL,
    "current_l1" REAL,
    "current_l2" REAL,
    "current_l3" REAL,
    "measured_at" TIMESTAMP,
    "allocated_a" REAL,
    "allocated_phases" VARCHAR(8) NOT NULL,
    "observed_at" TIMESTAMP,
    "received_at" TIMESTAMP,
    "charger_id" CHAR(36) NOT NULL  PRIMARY KEY REFERENCES "chargers" ("id") ON DELETE CASCADE
, "idle_since" TIMESTAMP);
CREATE INDEX "idx_charger_sta_install_78b798" ON "charger_statuses" ("installation_id");
CREATE TABLE "commands" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "installation_id" CHAR(36) NOT NULL,
    "session_id" CHAR(36),
    "requested_by_id" CHAR(36),
    "for_user_id" CHAR(36),
    "action" VARCHAR(16) NOT NULL  /* START: START\nPAUSE: PAUSE\nRESUME: RESUME\nSTOP: STOP\nRESTART: RESTART\nUNLOCK: UNLOCK\nAUTHORIZE: AUTHORIZE\nUPDATE_FIRMWARE: UPDATE_FIRMWARE\nOTHER: OTHER */,
    "state" VARCHAR(12) NOT NULL  /* QUEUED: QUEUED\nSENT: SENT\nACCEPTED: ACCEPTED\nREJECTED: REJECTED\nTIMEOUT: TIMEOUT\nERROR: ERROR\nOFFLINE: OFFLINE\nCONFIRMED: CONFIRMED\nUNCONFIRMED: UNCONFIRMED */,
    "id_token" VARCHAR(36),
    "energy_target_wh" BIGINT,
    "departure_at" TIMESTAMP,
    "requested_at" TIMESTAMP NOT NULL,
    "deadline" TIMESTAMP NOT NULL,
    "finished_at" TIMESTAMP,
    "detail" VARCHAR(500),
    "charger_id" CHAR(36) NOT NULL REFERENCES "chargers" ("id") ON DELETE RESTRICT
, "external_session_id" VARCHAR(200), "url" VARCHAR(512), "retrieve_at" TIMESTAMP);
CREATE INDEX "idx_commands_install_1c84cf" ON "commands" ("installation_id");
CREATE INDEX "idx_commands_request_901008" ON "commands" ("requested_by_id");
CREATE INDEX "idx_commands_charger_97289e" ON "commands" ("charger_id");
CREATE INDEX "idx_commands_state_fe9dc5" ON "commands" ("state", "deadline");
CREATE INDEX "idx_commands_id_toke_3ac5d4" ON "commands" ("id_token");
CREATE TABLE "offers" (
    "installation_id" CHAR(36) NOT NULL,
    "fence" BIGINT NOT NULL,
    "session_id" CHAR(36),
    "confirmed_a" REAL,
    "confirmed_phases" VARCHAR(8) NOT NULL,
    "confirmed_at" TIMESTAMP,
    "target_a" REAL,
    "target_phases" VARCHAR(8) NOT NULL,
    "targeted_at" TIMESTAMP,
    "acknowledged_at" TIMESTAMP,
    "fallback_a" REAL,
    "waiting_since" TIMESTAMP,
    "charging_since" TIMESTAMP,
    "binding_limit" VARCHAR(24),
    "limiting_circuit_id" CHAR(36),
    "queue_position" INT,
    "reason" VARCHAR(300),
    "decided_at" TIMESTAMP,
    "charger_id" CHAR(36) NOT NULL  PRIMARY KEY REFERENCES "chargers" ("id") ON DELETE CASCADE
, "next_slot_at" TIMESTAMP, "settled_epoch" BIGINT, "admitted_tier" INT, "held_since" TIMESTAMP);
CREATE INDEX "idx_offers_install_690518" ON "offers" ("installation_id");
CREATE TABLE "users" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "name" VARCHAR(200) NOT NULL,
    "email" VARCHAR(320)  UNIQUE,
    "password_hash" VARCHAR(255),
    "is_administrator" INT NOT NULL,
    "is_active" INT NOT NULL,
    "import_key" VARCHAR(200)  UNIQUE,
    "created_at" TIMESTAMP NOT NULL,
    "erased_at" TIMESTAMP
, "email_verified_at" TIMESTAMP, "totp_confirmed_at" TIMESTAMP, "totp_last_step" BIGINT, "totp_secret" VARCHAR(255));
CREATE TABLE "charge_cards" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "number" VARCHAR(36) NOT NULL UNIQUE,
    "name" VARCHAR(100) NOT NULL,
    "is_blocked" INT NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "external_id" VARCHAR(200),
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE RESTRICT
, "external_account_id" CHAR(36));
CREATE INDEX "idx_charge_card_user_id_c83357" ON "charge_cards" ("user_id");
CREATE TABLE "exports" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(16) NOT NULL  /* SUMMARY: SUMMARY\nSESSIONS: SESSIONS\nCOST: COST */,
    "format" VARCHAR(8) NOT NULL  /* XLSX: XLSX\nCSV: CSV\nPDF: PDF */,
    "parameters" TEXT NOT NULL,
    "state" VARCHAR(12) NOT NULL  /* QUEUED: QUEUED\nRUNNING: RUNNING\nREADY: READY\nFAILED: FAILED\nCANCELLED: CANCELLED\nEXPIRED: EXPIRED */,
    "progress" REAL NOT NULL,
    "row_count" INT,
    "file_name" VARCHAR(200),
    "size_bytes" BIGINT,
    "created_at" TIMESTAMP NOT NULL,
    "claimed_until" TIMESTAMP,
    "finished_at" TIMESTAMP,
    "expires_at" TIMESTAMP,
    "error" VARCHAR(500),
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE
, "delivery_id" CHAR(36), "stumbles" INT);
CREATE INDEX "idx_exports_user_id_a93f14" ON "exports" ("user_id");
CREATE TABLE "permissions" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "email" VARCHAR(320),
    "role" VARCHAR(16) NOT NULL  /* USER: USER\nOWNER: OWNER\nSERVICE: SERVICE\nADMINISTRATOR: ADMINISTRATOR */,
    "valid_from" TIMESTAMP NOT NULL,
    "valid_to" TIMESTAMP,
    "granted_by_id" CHAR(36),
    "granted_at" TIMESTAMP NOT NULL,
    "revoked_by_id" CHAR(36),
    "revoked_at" TIMESTAMP,
    "invitation_expires_at" TIMESTAMP,
    "external_id" VARCHAR(200),
    "charger_id" CHAR(36) REFERENCES "chargers" ("id") ON DELETE RESTRICT,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT,
    "user_id" CHAR(36) REFERENCES "users" ("id") ON DELETE RESTRICT
, "group_id" CHAR(36) REFERENCES "user_groups" ("id") ON DELETE RESTRICT, "invitation_digest" VARCHAR(64));
CREATE INDEX "idx_permissions_email_935d11" ON "permissions" ("email");
CREATE INDEX "idx_permissions_charger_66db77" ON "permissions" ("charger_id");
CREATE INDEX "idx_permissions_install_dba0e6" ON "permissions" ("installation_id");
CREATE INDEX "idx_permissions_user_id_9772d7" ON "permissions" ("user_id");
CREATE TABLE "sign_ins" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "refresh_hash" VARCHAR(64) NOT NULL UNIQUE,
    "created_at" TIMESTAMP NOT NULL,
    "refreshed_at" TIMESTAMP NOT NULL,
    "expires_at" TIMESTAMP NOT NULL,
    "ended_at" TIMESTAMP,
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_sign_ins_user_id_a8af9a" ON "sign_ins" ("user_id");
CREATE TABLE "authorization_attempts" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "installation_id" CHAR(36) NOT NULL,
    "charger_id" CHAR(36) NOT NULL,
    "station_id" CHAR(36),
    "credential_type" VARCHAR(8) NOT NULL  /* UNKNOWN: UNKNOWN\nCARD: CARD\nAPP: APP\nREMOTE: REMOTE\nVEHICLE: VEHICLE */,
    "token" VARCHAR(64),
    "user_id" CHAR(36),
    "card_id" CHAR(36),
    "at" TIMESTAMP NOT NULL,
    "decision" VARCHAR(10)   /* ACCEPTED: ACCEPTED\nBLOCKED: BLOCKED\nEXPIRED: EXPIRED\nINVALID: INVALID\nCONCURRENT: CONCURRENT */,
    "decided_by" VARCHAR(16)   /* NATIVE: NATIVE\nSUBSCRIBER: SUBSCRIBER\nCALL_OUT: CALL_OUT\nPRE_AUTHORIZED: PRE_AUTHORIZED\nCACHE: CACHE\nFAIL_POLICY: FAIL_POLICY\nANONYMOUS: ANONYMOUS */,
    "reason" VARCHAR(300),
    "request_id" CHAR(36),
    "session_id" CHAR(36),
    "external_session_id" VARCHAR(200)
);
CREATE INDEX "idx_authorizati_user_id_9608ae" ON "authorization_attempts" ("user_id");
CREATE INDEX "idx_authorizati_request_a9f6b0" ON "authorization_attempts" ("request_id");
CREATE INDEX "idx_authorizati_session_7a8eed" ON "authorization_attempts" ("session_id");
CREATE INDEX "idx_authorizati_install_7f3c63" ON "authorization_attempts" ("installation_id", "at", "id");
CREATE INDEX "idx_authorizati_charger_a4ff6d" ON "authorization_attempts" ("charger_id", "at", "id");
CREATE INDEX "idx_authorizati_station_dc5344" ON "authorization_attempts" ("station_id", "token", "at");
CREATE TABLE "authorization_requests" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "installation_id" CHAR(36) NOT NULL,
    "charger_id" CHAR(36) NOT NULL,
    "station_id" CHAR(36),
    "credential_type" VARCHAR(8) NOT NULL  /* UNKNOWN: UNKNOWN\nCARD: CARD\nAPP: APP\nREMOTE: REMOTE\nVEHICLE: VEHICLE */,
    "token" VARCHAR(64) NOT NULL,
    "user_id" CHAR(36),
    "card_id" CHAR(36),
    "requested_at" TIMESTAMP NOT NULL,
    "expires_at" TIMESTAMP NOT NULL,
    "is_shadow" INT NOT NULL,
    "native_decision" VARCHAR(10) NOT NULL  /* ACCEPTED: ACCEPTED\nBLOCKED: BLOCKED\nEXPIRED: EXPIRED\nINVALID: INVALID\nCONCURRENT: CONCURRENT */,
    "decision" VARCHAR(10)   /* ACCEPTED: ACCEPTED\nBLOCKED: BLOCKED\nEXPIRED: EXPIRED\nINVALID: INVALID\nCONCURRENT: CONCURRENT */,
    "decided_by" VARCHAR(16)   /* NATIVE: NATIVE\nSUBSCRIBER: SUBSCRIBER\nCALL_OUT: CALL_OUT\nPRE_AUTHORIZED: PRE_AUTHORIZED\nCACHE: CACHE\nFAIL_POLICY: FAIL_POLICY\nANONYMOUS: ANONYMOUS */,
    "decided_at" TIMESTAMP,
    "reason" VARCHAR(300),
    "answered_by_id" CHAR(36),
    "external_user_id" VARCHAR(200),
    "external_session_id" VARCHAR(200),
    "cache_until" TIMESTAMP
, "called_at" TIMESTAMP);
CREATE INDEX "idx_authorizati_charger_16c4f1" ON "authorization_requests" ("charger_id");
CREATE INDEX "idx_authorizati_user_id_3762f5" ON "authorization_requests" ("user_id");
CREATE INDEX "idx_authorizati_install_9367e6" ON "authorization_requests" ("installation_id", "requested_at");
CREATE INDEX "idx_authorizati_token_fc83df" ON "authorization_requests" ("token", "requested_at");
CREATE INDEX "idx_authorizati_decided_f808a9" ON "authorization_requests" ("decided_at", "expires_at");
CREATE TABLE "card_blocks" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "blocked_by_id" CHAR(36),
    "blocked_at" TIMESTAMP NOT NULL,
    "card_id" CHAR(36) NOT NULL REFERENCES "charge_cards" ("id") ON DELETE CASCADE,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_card_blocks_card_id_08a774" UNIQUE ("card_id", "installation_id")
);
CREATE INDEX "idx_card_blocks_install_23a306" ON "card_blocks" ("installation_id");
CREATE TABLE "card_enrollments" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "installation_id" CHAR(36) NOT NULL,
    "name" VARCHAR(100) NOT NULL,
    "requested_by_id" CHAR(36) NOT NULL,
    "state" VARCHAR(10) NOT NULL  /* WAITING: WAITING\nENROLLED: ENROLLED\nTAKEN: TAKEN\nEXPIRED: EXPIRED */,
    "created_at" TIMESTAMP NOT NULL,
    "expires_at" TIMESTAMP NOT NULL,
    "card_id" CHAR(36),
    "charger_id" CHAR(36) NOT NULL REFERENCES "chargers" ("id") ON DELETE CASCADE,
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_card_enroll_install_d2d7e4" ON "card_enrollments" ("installation_id");
CREATE INDEX "idx_card_enroll_charger_260c47" ON "card_enrollments" ("charger_id", "state");
CREATE TABLE "external_authentications" (
    "mode" VARCHAR(8) NOT NULL  /* OFF: OFF\nSHADOW: SHADOW\nENFORCE: ENFORCE */,
    "url" VARCHAR(2000),
    "timeout_s" REAL NOT NULL,
    "fail_policy" VARCHAR(12) NOT NULL  /* DENY: DENY\nALLOW_KNOWN: ALLOW_KNOWN\nALLOW_ALL: ALLOW_ALL */,
    "secret" VARCHAR(255),
    "previous_secret" VARCHAR(255),
    "previous_secret_until" TIMESTAMP,
    "passed_at" TIMESTAMP,
    "installation_id" CHAR(36) NOT NULL  PRIMARY KEY REFERENCES "installations" ("id") ON DELETE CASCADE
, "gone_at" TIMESTAMP, "paused_until" TIMESTAMP);
CREATE TABLE "mailed_secrets" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(16) NOT NULL  /* VERIFY: VERIFY\nRESET: RESET */,
    "email" VARCHAR(320) NOT NULL,
    "digest" VARCHAR(64) NOT NULL UNIQUE,
    "created_at" TIMESTAMP NOT NULL,
    "expires_at" TIMESTAMP NOT NULL,
    "used_at" TIMESTAMP,
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_mailed_secr_user_id_3e82d8" ON "mailed_secrets" ("user_id");
CREATE TABLE "open_id_links" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "issuer" VARCHAR(300) NOT NULL,
    "subject" VARCHAR(255) NOT NULL,
    "linked_at" TIMESTAMP NOT NULL,
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_open_id_lin_issuer_7a57da" UNIQUE ("issuer", "subject")
);
CREATE INDEX "idx_open_id_lin_user_id_b661cc" ON "open_id_links" ("user_id");
CREATE TABLE "service_accounts" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "name" VARCHAR(200) NOT NULL,
    "scopes" VARCHAR(255) NOT NULL,
    "created_by_id" CHAR(36),
    "created_at" TIMESTAMP NOT NULL
);
CREATE TABLE "api_tokens" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "name" VARCHAR(200) NOT NULL,
    "prefix" VARCHAR(16) NOT NULL UNIQUE,
    "digest" VARCHAR(64) NOT NULL UNIQUE,
    "scopes" VARCHAR(255),
    "created_by_id" CHAR(36),
    "created_at" TIMESTAMP NOT NULL,
    "expires_at" TIMESTAMP,
    "last_used_at" TIMESTAMP,
    "revoked_at" TIMESTAMP,
    "revoked_by_id" CHAR(36),
    "account_id" CHAR(36) NOT NULL REFERENCES "service_accounts" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_api_tokens_account_c1e728" ON "api_tokens" ("account_id");
CREATE TABLE "external_users" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "external_id" VARCHAR(200) NOT NULL,
    "email" VARCHAR(320),
    "created_at" TIMESTAMP NOT NULL,
    "account_id" CHAR(36) NOT NULL REFERENCES "service_accounts" ("id") ON DELETE CASCADE,
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_external_us_account_ca78e3" UNIQUE ("account_id", "external_id")
);
CREATE INDEX "idx_external_us_user_id_c27eee" ON "external_users" ("user_id");
CREATE TABLE "service_account_installations" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "account_id" CHAR(36) NOT NULL REFERENCES "service_accounts" ("id") ON DELETE CASCADE,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_service_acc_account_23fe0f" UNIQUE ("account_id", "installation_id")
);
CREATE INDEX "idx_service_acc_install_bf9ccc" ON "service_account_installations" ("installation_id");
CREATE TABLE "session_events" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "event_id" CHAR(36) NOT NULL UNIQUE,
    "installation_id" CHAR(36) NOT NULL,
    "session_id" CHAR(36) NOT NULL,
    "kind" VARCHAR(10) NOT NULL  /* STARTED: STARTED\nUPDATED: UPDATED\nENDED: ENDED\nREPLACED: REPLACED */,
    "payload" TEXT NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "due_at" TIMESTAMP NOT NULL,
    "attempts" INT NOT NULL,
    "claimed_until" TIMESTAMP,
    "delivered_at" TIMESTAMP,
    "failed_at" TIMESTAMP,
    "error" VARCHAR(500)
, "replayed_at" TIMESTAMP);
CREATE INDEX "idx_session_eve_session_e0843e" ON "session_events" ("session_id", "id");
CREATE INDEX "idx_session_eve_install_ea6932" ON "session_events" ("installation_id", "id");
CREATE TABLE "user_groups" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "name" VARCHAR(200) NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_user_groups_install_bcf617" UNIQUE ("installation_id", "name")
);
CREATE TABLE "group_members" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "added_by_id" CHAR(36),
    "added_at" TIMESTAMP NOT NULL,
    "group_id" CHAR(36) NOT NULL REFERENCES "user_groups" ("id") ON DELETE CASCADE,
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_group_membe_group_i_871198" UNIQUE ("group_id", "user_id")
);
CREATE INDEX "idx_group_membe_user_id_1ed761" ON "group_members" ("user_id");
CREATE UNIQUE INDEX "uid_charge_card_externa_242820" ON "charge_cards" ("external_account_id", "external_id");
CREATE UNIQUE INDEX "uid_permissions_invitat_8e321b" ON "permissions" ("invitation_digest");
CREATE INDEX "idx_permissions_group_i_35abb6" ON "permissions" ("group_id");
CREATE INDEX "idx_charge_sess_replace_5166b1" ON "charge_sessions" ("replaced_by_id");
CREATE INDEX "idx_charge_sess_id_toke_be5733" ON "charge_sessions" ("id_token", "state");
CREATE TABLE "charger_kinds" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "vendor" VARCHAR(100) NOT NULL,
    "model" VARCHAR(100) NOT NULL,
    "firmware" VARCHAR(100) NOT NULL,
    "facts" TEXT NOT NULL,
    "learnt_at" TIMESTAMP NOT NULL,
    CONSTRAINT "uid_charger_kin_vendor_bc5fb2" UNIQUE ("vendor", "model", "firmware")
);
CREATE TABLE "local_lists" ("station_id" CHAR(36) NOT NULL  PRIMARY KEY REFERENCES "stations" ("id") ON DELETE CASCADE, "version" INT NOT NULL, "entries" TEXT NOT NULL, "is_supported" INT, "synchronised_at" TIMESTAMP, "error" VARCHAR(300));
CREATE INDEX session_events_due ON session_events (installation_id, due_at, id) WHERE delivered_at IS NULL AND failed_at IS NULL;
CREATE INDEX session_events_waiting ON session_events (session_id, id) WHERE delivered_at IS NULL AND failed_at IS NULL;
CREATE TABLE "ocpp_messages" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "station_id" CHAR(36) NOT NULL,
    "installation_id" CHAR(36),
    "at" TIMESTAMP NOT NULL,
    "is_from_charger" INT NOT NULL,
    "action" VARCHAR(50) NOT NULL,
    "payload" TEXT NOT NULL
);
CREATE INDEX "idx_ocpp_messag_station_59534c" ON "ocpp_messages" ("station_id", "at", "id");
CREATE INDEX "idx_session_eve_created_dfcf87" ON "session_events" ("created_at");
CREATE INDEX session_events_given_up ON session_events (installation_id, id) WHERE failed_at IS NOT NULL;
CREATE TABLE "recovery_codes" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "digest" VARCHAR(64) NOT NULL UNIQUE,
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_recovery_co_user_id_d439e4" ON "recovery_codes" ("user_id");
CREATE TABLE "unknown_chargers" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "identity" VARCHAR(48) NOT NULL UNIQUE,
    "first_seen_at" TIMESTAMP NOT NULL,
    "last_seen_at" TIMESTAMP NOT NULL,
    "attempts" INT NOT NULL,
    "address" VARCHAR(45) NOT NULL,
    "protocol" VARCHAR(16),
    "vendor" VARCHAR(100),
    "model" VARCHAR(100),
    "serial_number" VARCHAR(100),
    "firmware_version" VARCHAR(100),
    "password_hash" VARCHAR(64),
    "is_contested" INT NOT NULL
);
CREATE INDEX "idx_unknown_cha_last_se_7ae483" ON "unknown_chargers" ("last_seen_at");
CREATE TABLE "past_group_members" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "group_id" CHAR(36) NOT NULL,
    "user_id" CHAR(36) NOT NULL,
    "added_at" TIMESTAMP NOT NULL,
    "removed_at" TIMESTAMP NOT NULL
);
CREATE INDEX "idx_past_group__group_i_6467af" ON "past_group_members" ("group_id", "user_id");
CREATE TABLE "tariffs" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "name" VARCHAR(200) NOT NULL,
    "vat_micro" BIGINT NOT NULL,
    "parts" TEXT NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_tariffs_install_c8b7da" ON "tariffs" ("installation_id");
CREATE TABLE "tariff_assignments" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "installation_id" CHAR(36) NOT NULL,
    "user_id" CHAR(36),
    "valid_from" DATE NOT NULL,
    "valid_to" DATE,
    "group_id" CHAR(36) REFERENCES "user_groups" ("id") ON DELETE RESTRICT,
    "tariff_id" CHAR(36) NOT NULL REFERENCES "tariffs" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_tariff_assi_install_5e60c5" ON "tariff_assignments" ("installation_id");
CREATE INDEX "idx_tariff_assi_user_id_6ee50e" ON "tariff_assignments" ("user_id");
CREATE INDEX "idx_tariff_assi_group_i_0045a2" ON "tariff_assignments" ("group_id");
CREATE INDEX "idx_tariff_assi_tariff__7d1988" ON "tariff_assignments" ("tariff_id");
CREATE TABLE "tariff_prices" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "start_at" TIMESTAMP NOT NULL,
    "end_at" TIMESTAMP NOT NULL,
    "price_micro" BIGINT NOT NULL,
    "tariff_id" CHAR(36) NOT NULL REFERENCES "tariffs" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_tariff_pric_tariff__7dea4a" UNIQUE ("tariff_id", "start_at")
);
CREATE TABLE "signed_records" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "session_id" CHAR(36) NOT NULL,
    "installation_id" CHAR(36) NOT NULL,
    "place" VARCHAR(8) NOT NULL  /* BEGIN: BEGIN\nLATEST: LATEST\nEND: END */,
    "at" TIMESTAMP NOT NULL,
    "received_at" TIMESTAMP NOT NULL,
    "format" VARCHAR(20) NOT NULL,
    "record" TEXT NOT NULL,
    CONSTRAINT "uid_signed_reco_session_36696e" UNIQUE ("session_id", "place")
);
CREATE TABLE "meter_keys" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "public_key" VARCHAR(512) NOT NULL,
    "is_confirmed" INT NOT NULL,
    "known_since" TIMESTAMP NOT NULL,
    "replaced_at" TIMESTAMP,
    "charger_id" CHAR(36) NOT NULL REFERENCES "chargers" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_meter_keys_charger_40f1a3" ON "meter_keys" ("charger_id", "known_since");
CREATE TABLE "locked_reports" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "basis" VARCHAR(12) NOT NULL  /* REGISTERED: REGISTERED\nENDED: ENDED\nINTERVAL: INTERVAL */,
    "revision" INT NOT NULL,
    "from_date" DATE NOT NULL,
    "to_date" DATE NOT NULL,
    "time_zone" VARCHAR(64) NOT NULL,
    "period_start_at" TIMESTAMP NOT NULL,
    "period_end_at" TIMESTAMP NOT NULL,
    "locked_at" TIMESTAMP NOT NULL,
    "locked_by_id" CHAR(36) NOT NULL,
    "document" TEXT NOT NULL,
    "sha256" VARCHAR(64) NOT NULL,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_locked_repo_install_cf0a28" UNIQUE ("installation_id", "basis", "revision")
);
CREATE TABLE "locked_names" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "report_id" CHAR(36) NOT NULL,
    "dimension" VARCHAR(12) NOT NULL  /* CHARGER: CHARGER\nUSER: USER\nCHARGE_CARD: CHARGE_CARD\nCIRCUIT: CIRCUIT\nINSTALLATION: INSTALLATION\nDAY: DAY\nWEEK: WEEK\nMONTH: MONTH\nHOUR: HOUR */,
    "subject_id" CHAR(36) NOT NULL,
    "user_id" CHAR(36),
    "name" VARCHAR(200) NOT NULL,
    CONSTRAINT "uid_locked_name_report__f972af" UNIQUE ("report_id", "dimension", "subject_id")
);
CREATE INDEX "idx_locked_name_user_id_6c5080" ON "locked_names" ("user_id");
CREATE TABLE "locked_lines" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "installation_id" CHAR(36) NOT NULL,
    "basis" VARCHAR(12) NOT NULL  /* REGISTERED: REGISTERED\nENDED: ENDED\nINTERVAL: INTERVAL */,
    "from_date" DATE NOT NULL,
    "revision" INT NOT NULL,
    "session_id" CHAR(36),
    "charger_id" CHAR(36),
    "circuit_id" CHAR(36),
    "user_id" CHAR(36),
    "card_id" CHAR(36),
    "session_count" INT NOT NULL,
    "energy_wh" BIGINT NOT NULL,
    "connected_s" BIGINT NOT NULL,
    "charging_s" BIGINT NOT NULL,
    "offline_count" INT NOT NULL,
    "unreliable_count" INT NOT NULL,
    "cost_minor" BIGINT,
    "currency" VARCHAR(3)
, "vat_minor" BIGINT, "unknown_costs" INT);
CREATE INDEX "idx_locked_line_user_id_7f2d2e" ON "locked_lines" ("user_id");
CREATE INDEX "idx_locked_line_install_19e83e" ON "locked_lines" ("installation_id", "basis", "from_date", "session_id");
CREATE INDEX "idx_locked_line_session_1565fe" ON "locked_lines" ("session_id");
CREATE INDEX "idx_charge_sess_charger_acd9ae" ON "charge_sessions" ("charger_id", "registered_at");
CREATE TABLE "alert_subscriptions" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "charger_ids" TEXT NOT NULL,
    "kinds" TEXT NOT NULL,
    "minimum_severity" VARCHAR(8) NOT NULL  /* INFO: INFO\nWARNING: WARNING\nERROR: ERROR\nCRITICAL: CRITICAL */,
    "delivery" VARCHAR(16) NOT NULL  /* IMMEDIATE: IMMEDIATE\nHOURLY_DIGEST: HOURLY_DIGEST\nDAILY_DIGEST: DAILY_DIGEST */,
    "digest_hour" INT NOT NULL,
    "quiet_from" VARCHAR(5),
    "quiet_to" VARCHAR(5),
    "sends_resolved" INT NOT NULL,
    "email" VARCHAR(320),
    "language" VARCHAR(2) NOT NULL  /* EN: EN\nNB: NB */,
    "default_key" VARCHAR(80)  UNIQUE,
    "created_at" TIMESTAMP NOT NULL,
    "verified_at" TIMESTAMP,
    "ended_at" TIMESTAMP,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE CASCADE,
    "user_id" CHAR(36) NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_alert_subsc_install_7fcf2a" ON "alert_subscriptions" ("installation_id");
CREATE INDEX "idx_alert_subsc_user_id_92fd2a" ON "alert_subscriptions" ("user_id");
CREATE TABLE "alert_notices" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "alert_id" CHAR(36) NOT NULL,
    "occasion" VARCHAR(10) NOT NULL,
    "key" VARCHAR(80)  UNIQUE,
    "created_at" TIMESTAMP NOT NULL,
    "due_at" TIMESTAMP NOT NULL,
    "mailed_at" TIMESTAMP,
    "has_told_end" INT NOT NULL,
    "subscription_id" CHAR(36) NOT NULL REFERENCES "alert_subscriptions" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_alert_notic_alert_i_1c3e07" ON "alert_notices" ("alert_id");
CREATE INDEX "idx_alert_notic_subscri_c5a034" ON "alert_notices" ("subscription_id");
CREATE INDEX "idx_alert_notic_mailed__e2552d" ON "alert_notices" ("mailed_at", "due_at");
CREATE TABLE "report_schedules" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "kind" VARCHAR(16) NOT NULL  /* SUMMARY: SUMMARY\nSESSIONS: SESSIONS\nCOST: COST */,
    "format" VARCHAR(8) NOT NULL  /* XLSX: XLSX\nCSV: CSV\nPDF: PDF */,
    "basis" VARCHAR(12) NOT NULL  /* REGISTERED: REGISTERED\nENDED: ENDED\nINTERVAL: INTERVAL */,
    "group_by" VARCHAR(40) NOT NULL,
    "is_per_person" INT NOT NULL,
    "recipients" TEXT NOT NULL,
    "created_by_id" CHAR(36) NOT NULL,
    "created_at" TIMESTAMP NOT NULL,
    "next_at" TIMESTAMP NOT NULL,
    "removed_at" TIMESTAMP,
    "installation_id" CHAR(36) NOT NULL REFERENCES "installations" ("id") ON DELETE RESTRICT
);
CREATE INDEX "idx_report_sche_next_at_4f24ed" ON "report_schedules" ("next_at");
CREATE INDEX "idx_report_sche_install_476473" ON "report_schedules" ("installation_id");
CREATE TABLE "report_deliveries" (
    "id" CHAR(36) NOT NULL  PRIMARY KEY,
    "from_date" DATE NOT NULL,
    "to_date" DATE NOT NULL,
    "subject" VARCHAR(254) NOT NULL,
    "user_id" CHAR(36),
    "recipient" VARCHAR(254) NOT NULL,
    "state" VARCHAR(8) NOT NULL  /* WAITING: WAITING\nSENT: SENT\nFAILED: FAILED */,
    "planned_at" TIMESTAMP NOT NULL,
    "at" TIMESTAMP,
    "error" VARCHAR(500),
    "export_id" CHAR(36),
    "schedule_id" CHAR(36) NOT NULL REFERENCES "report_schedules" ("id") ON DELETE RESTRICT,
    CONSTRAINT "uid_report_deli_schedul_3fb274" UNIQUE ("schedule_id", "from_date", "subject")
);
CREATE INDEX "idx_report_deli_user_id_6f1ef5" ON "report_deliveries" ("user_id");
CREATE INDEX idx_charge_sess_long ON charge_sessions (installation_id, started_at) WHERE connected_s >= 2592000
;
CREATE TABLE "held_spans" (
    "id" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    "since" TIMESTAMP NOT NULL,
    "until" TIMESTAMP NOT NULL,
    "charger_id" CHAR(36) NOT NULL REFERENCES "chargers" ("id") ON DELETE CASCADE
);
CREATE INDEX "idx_held_spans_charger_2d5539" ON "held_spans" ("charger_id", "until");
INSERT INTO tortoise_migrations (app, name, applied_at) VALUES
  ('domain', '0001_initial', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0002_access_and_authorization', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0003_sessions_by_successor_and_token', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0004_questions_called_once', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0005_charger_kinds', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0006_local_lists_without_limits', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0007_pending_session_events', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0008_ocpp_messages', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0009_session_events_in_their_time', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0010_firmware', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0011_accounts_of_the_first_release', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0012_recovery_codes', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0013_room_for_new_versions', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0014_what_stations_hold', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0015_unknown_chargers', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0016_what_chargers_do', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0017_clocks_of_stations', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0018_security_profiles', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0019_histories_of_meters', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0020_next_slots', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0021_current_schedules', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0022_tariffs', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0023_signed_records', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0024_alerts_of_all_things', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0025_locked_reports', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0026_newest_of_each_charger', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0027_alert_subscriptions', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0028_report_schedules', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0029_costs_of_locked_lines', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0030_long_sessions', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0031_settled_offers', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0032_stumbles_of_exports', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now')),
  ('domain', '0033_held_spans', strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now'));
COMMIT;
