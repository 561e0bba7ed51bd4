"""Fields that HarfangLab is known to send and no rule reads.

They tell a field that is new from one that is known and not needed. An object of which nothing is
read stands here by its own name, without what is in it; the entries of a list as rules read them,
by the first.
"""

from typing import Final

_BELOW: Final = {
    "": """
        @Version @timestamp @version agent_count auth_status auth_type computer_name
        conn_type connection_count creation_date daddr_geoip date date_received
        desired_access destination detection detection_date detection_origin error_msg event
        event_date fake_parent_commandline fake_parent_image fake_parent_unique_id fake_ppid
        hash host image_base_address incomplete ingestion_date initiated integrity_level
        investigation_data_sum is_ipv6 job_id keywords last_update level_int linux log_name
        log_platform_flag logonid maturity mitre_cells opcode parent_integrity_level
        parent_unique_id password path pe_timestamp pe_timestamp_int pipe_name ppid
        process_guid process_header_file process_imagename process_unique_id provider_guid
        query_params raw_windows_resolver_results record_number region_allocation_base
        region_allocation_protect region_allocation_size region_base_address region_dump
        region_dump_base region_protect region_size region_state region_type rule_content
        saddr_geoip scheme session sha256 signature_info signed size source_address_geoip
        source_process_unique_id source_tid stacktrace_full stacktrace_minimal start_address
        start_address_string status_history status_msg tactic target_image
        target_process_unique_id task technique telemetry_sum text_records thread_dump
        thread_sha256 thread_uid threat_values timestamp total_security_event_count type
        url_zone user user_data usersid utc_time worker zone_id
    """,
    "agent.": """
        distroid dnsdomainname domain producttype
    """,
    "details_registry.": """
        event_type
    """,
    "driverload.": """
        detection_timestamp imagebase ioc_matches log_type pe_timestamp pe_timestamp_int
        signature_info signed size status system_event_type utc_time
    """,
    "driverload.pe_info.": """
        internal_name legal_copyright pe_timestamp product_version
    """,
    "eventlog.": """
        computer_name detection_timestamp dont_create_eventlog event_date event_id
        ioc_matches keywords level log_name log_type process_id provider_guid record_number
        sigma_rule_content source_name status system_event_type thread_id type user
        user_data
    """,
    "impacted_users[0].": """
        security_event_count user_sid
    """,
    "pe_info.": """
        internal_name legal_copyright product_version
    """,
    "process.": """
        ancestors create_time detection_timestamp dont_create_process error_msg
        fake_parent_commandline fake_parent_image fake_parent_unique_id fake_ppid
        grandparent_integrity_level integrity_level ioc_matches log_platform_flag log_type
        logonid matched_rules matched_rules_count parent_integrity_level parent_unique_id
        pe_timestamp pe_timestamp_int ppid process_unique_id rule_revision score session
        signature_info signed size status status_msg usersid
    """,
    "process.pe_info.": """
        internal_name legal_copyright pe_timestamp product_version
    """,
    "rules[0].": """
        creation_date description id last_update rule_id rule_msg rule_os
        security_event_count
    """,
    "windows.": """
        logon_title logon_type sub_status
    """,
}

UNMAPPED: Final = frozenset(
    f"{parent}{name}" for parent, names in _BELOW.items() for name in names.split()
)
"""Dotted paths."""
