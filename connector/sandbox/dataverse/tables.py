"""The tables this project touches, trimmed to the columns that matter.

Names, values and navigation names follow Microsoft's table references; columns known only from generated types in
public code are so marked. [documented; third-party code]
"""

from __future__ import annotations

from connector.sandbox.dataverse.platform_tables import APPROVAL, DELIVERY, EXTENSION, MAIL
from connector.sandbox.dataverse.schema import (
    Column,
    Table,
    choice,
    define,
    flag,
    guid,
    lookup,
    moment,
    state,
    text,
    whole,
)

RECIPIENTS_COLUMN = "msdyn_emergencyemailrecipients"


_USER = define(
    "systemuser",
    "systemusers",
    text("fullname", 200),
    text("firstname", 256),
    text("lastname", 256),
    text("title", 128),
    text("domainname", 1024),
    text("internalemailaddress"),
    text("mobilephone", 64),
    text("address1_name"),
    text("address1_line1", 1024),
    text("address1_line2", 1024),
    text("address1_city", 128),
    text("address1_stateorprovince", 128),
    text("address1_postalcode", 40),
    text("address1_country", 128),
    text("address1_telephone1", 64),
    flag("isdisabled"),
    choice("accessmode", Read_Write=0, Administrative=1, Read=2, Support_User=3, Non_interactive=4, Delegated_Admin=5),
    guid("azureactivedirectoryobjectid"),
    guid("applicationid"),
    choice("emailrouteraccessapproval", **APPROVAL),
    flag("isemailaddressapprovedbyo365admin"),
    choice("outgoingemaildeliverymethod", **DELIVERY),
    lookup("defaultmailbox", "mailbox"),
    lookup("businessunitid", "businessunit"),
    lookup("parentsystemuserid", "systemuser"),
    text(RECIPIENTS_COLUMN, 4000),
    lookup("msdyn_phonenumberid", "msdyn_ocphonenumber"),
    text("msdyn_callforwardingnumber"),
    whole("msdyn_capacity"),
    lookup("msdyn_defaultpresenceiduser", "msdyn_presence", "msdyn_DefaultPresenceIdUser"),
    choice("msdyn_usertype", CRM_User=192350000, BOT_User=192350001),
    Column(
        "msdyn_agentType",  # the one logical name with a capital letter [documented]
        "Picklist",
        options={192350000: "Application user", 192350001: "Bot application user"},
    ),
    flag("msdyn_gdproptout"),
    primary_name="fullname",
    privilege="User",
    tracked=True,
    owned=False,
    # The key by Entra object id is the one that every organisation has.
    keys=(("azureactivedirectoryobjectid",),),
    collections={"systemuser_bookableresource_UserId": ("bookableresource", "userid")},
)

_PEOPLE = (
    _USER,
    define("team", "teams", lookup("businessunitid", "businessunit"), primary_name="name", tracked=True, owned=False),
    define("businessunit", "businessunits", primary_name="name", privilege="BusinessUnit", owned=False),
    define("role", "roles", lookup("businessunitid", "businessunit"), primary_name="name", owned=False),
    define(
        "systemuserroles",
        "systemuserrolescollection",
        guid("systemuserid"),
        guid("roleid"),
        primary_id="systemuserroleid",
        primary_name="name",
        owned=False,
    ),
    define(
        "organization",
        "organizations",
        whole("expirechangetrackingindays"),
        whole("languagecode"),
        primary_name="name",
        privilege="Organization",
        owned=False,
    ),
    define(
        "bookableresource",
        "bookableresources",
        choice("resourcetype", Generic=1, Contact=2, User=3, Equipment=4, Account=5, Crew=6, Facility=7, Pool=8),
        lookup("userid", "systemuser", "UserId"),
        *state(),
        primary_name="name",
        tracked=True,
    ),
)

_CAPACITY = (
    define(
        "msdyn_capacityprofile",
        "msdyn_capacityprofiles",
        text("msdyn_uniquename", 128),
        whole("msdyn_defaultmaxunits"),
        flag("msdyn_blockassignment"),
        choice("msdyn_resetduration", Immediate=192350000, Daily=192350001),
        *state(),
        tracked=True,
        # As an organisation may define for its own imports; not shipped by Microsoft.
        keys=(("msdyn_uniquename",),),
    ),
    define(
        "msdyn_bookableresourcecapacityprofile",
        "msdyn_bookableresourcecapacityprofiles",
        lookup("msdyn_bookableresourceid", "bookableresource"),
        lookup("msdyn_capacityprofileid", "msdyn_capacityprofile"),
        whole("msdyn_maxunits"),
        *state(),
        tracked=True,
    ),
    define(
        "msdyn_liveworkstream",
        "msdyn_liveworkstreams",
        choice("msdyn_direction", Inbound=0, Outbound=1, Direct_Inbound=2, Direct_Outbound=3),
        choice("msdyn_streamsource", Live_chat=192360000, Voice=192370000, Voice_call=192440000),
        choice("msdyn_mode", Legacy=717210000, Simplified=717210001),
        flag("msdyn_enablevoicev2"),
        choice("msdyn_capacityformat", Unit_based=192350000, Profile_based=192360000),
        *state(),
        tracked=True,
    ),
    define(
        "msdyn_liveworkstreamcapacityprofile",
        "msdyn_liveworkstreamcapacityprofiles",
        lookup("msdyn_workstream_id", "msdyn_liveworkstream"),
        lookup("msdyn_capacityprofile_id", "msdyn_capacityprofile", "msdyn_capacityProfile_id"),
        *state(),
        tracked=True,
    ),
    define(
        "msdyn_ocvoicechannelsetting",
        "msdyn_ocvoicechannelsettings",
        lookup("msdyn_liveworkstreamid", "msdyn_liveworkstream"),
        lookup("msdyn_phonenumberid", "msdyn_ocphonenumber"),
        lookup("msdyn_calleridphonenumberid", "msdyn_ocphonenumber"),
        text("msdyn_calleridname"),
        flag("msdyn_isanonymouscallerid"),
        text("msdyn_outboundcallregionallowlist", 4000),
        flag("msdyn_recordingenabled"),
        flag("msdyn_transcriptionenabled"),
        text("msdyn_recordingmode"),
        text("msdyn_transcriptionmode"),
        *state(),
        tracked=True,
    ),
)

_NUMBERS = (
    define(
        "msdyn_ocphonenumber",
        "msdyn_ocphonenumbers",
        text("msdyn_phonenumber"),
        text("msdyn_formattedphonenumber"),
        text("msdyn_countryisocode", 3),
        flag("msdyn_phoneoutboundenabled"),
        flag("msdyn_phoneinboundenabled"),
        flag("msdyn_smsinboundenabled"),
        flag("msdyn_smsoutboundenabled"),
        choice("msdyn_type", Geo=192350000, Toll_free=192350001, Short_code=192350002),
        choice("msdyn_ocphonenumbersource", Direct_Offer=192350000, Direct_Routing=192350001),
        choice("msdyn_phonenumbertype", ACS=0, Teams=1),
        lookup("msdyn_carrierid", "msdyn_occarrier"),
        *state(),
        tracked=True,
    ),
    define("msdyn_occarrier", "msdyn_occarriers", *state(), tracked=True),
)

_OWN = (
    # The project's own table, for organisations that announce calls by a row instead of a Custom API.
    define(
        "ec_emergencycall",
        "ec_emergencycalls",
        text("ec_name"),
        text("ec_agentid", 36),
        text("ec_diallednumber", 40),
        text("ec_country", 80),
        text("ec_location", 2000),
        text("ec_callbacknumber", 40),
        text("ec_agentidentity", 300),
        moment("ec_dialledon"),
        moment("ec_endedon"),
        primary_name="ec_name",
        tracked=True,
    ),
)

_PRESENCE = (
    define(
        "msdyn_presence",
        "msdyn_presences",
        text("msdyn_presencestatustext"),
        text("msdyn_description", 500),
        flag("msdyn_canuserset"),
        flag("msdyn_canservicerepresentativeset"),
        flag("msdyn_cansupervisorset"),
        Column(
            "msdyn_basepresencestatus",
            "Picklist",
            options={
                192360000: "Available",
                192360001: "Busy",
                192360002: "Busy - DND",
                192360003: "Away",
                192360004: "Offline",
            },
        ),
        *state(),
        tracked=True,
    ),
    define(
        "msdyn_agentstatus",
        "msdyn_agentstatuses",
        lookup("msdyn_agentid", "systemuser"),
        lookup("msdyn_currentpresenceid", "msdyn_presence"),
        flag("msdyn_isagentloggedin"),
        flag("msdyn_isblockedbysomeprofile"),
        whole("msdyn_availableunitscapacity"),
        whole("msdyn_assignedconversationcount"),
        moment("msdyn_presencemodifiedon"),
        moment("msdyn_capacitymodifiedon"),
        text("msdyn_presencemodifiedonwithmilliseconds"),
        text("msdyn_capacitymodifiedonwithmilliseconds"),
        text("msdyn_presencemodifiedby"),
        text("msdyn_presencemodifiedbyuserid"),
        choice("msdyn_eventname", Set_Presence=192350006, Other=192350009),
        Column("msdyn_subeventname", "Picklist", options={192350005: "Representative Initiated Outbound Call"}),
        whole("timezoneruleversionnumber"),
        *state(),
        tracked=True,
    ),
)

TABLES: dict[str, Table] = {
    table.name: table for table in (*_PEOPLE, *_CAPACITY, *_NUMBERS, *_OWN, *_PRESENCE, *MAIL, *EXTENSION)
}
ENTITY_SETS: dict[str, Table] = {table.entity_set: table for table in TABLES.values()}
