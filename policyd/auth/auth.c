#include "policyd/auth/auth.h"

const char *const dkim_result_names[DKIM__COUNT] = {
	[DKIM_NONE] = "none", [DKIM_PASS] = "pass", [DKIM_FAIL] = "fail", [DKIM_POLICY] = "policy", [DKIM_NEUTRAL] = "neutral",
	[DKIM_TEMPERROR] = "temperror", [DKIM_PERMERROR] = "permerror",
};
const char *const dmarc_result_names[DMARC__COUNT] = {
	[DMARC_NONE] = "none", [DMARC_PASS] = "pass", [DMARC_FAIL] = "fail", [DMARC_TEMPERROR] = "temperror",
	[DMARC_PERMERROR] = "permerror",
};
const char *const dmarc_policy_names[DMARC_P__COUNT] = {
	[DMARC_P_NONE] = "none", [DMARC_P_QUARANTINE] = "quarantine", [DMARC_P_REJECT] = "reject",
};
const char *const arc_result_names[ARC__COUNT] = {
	[ARC_NONE] = "none", [ARC_PASS] = "pass", [ARC_FAIL] = "fail", [ARC_TEMPERROR] = "temperror",
};

void
auth_name(char *to, size_t room, struct span name)
{
	name = span_head(name, room - 1);
	for (size_t i = 0; i < name.n; i++)
		to[i] = ascii_lower(name.p[i]);
	memset(to + name.n, 0, room - name.n);
}
