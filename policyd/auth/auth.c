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

#define IS_TEXT(field) (memchr((field), '\0', sizeof(field)) != NULL)

bool
auth_sender_valid(const struct auth_sender *s)
{
	return s->asked <= 1 && s->iprev < IPREV_PENDING && s->spf < SPF_PENDING && s->spf_helo < SPF_PENDING && IS_TEXT(s->client_name) &&
	       IS_TEXT(s->helo) && IS_TEXT(s->spf_domain) && IS_TEXT(s->spf_explanation);
}

bool
auth_valid(const struct auth *a)
{
	if (!auth_sender_valid(&a->sender) || a->dkim_count > AUTH_DKIM_MOST || a->dmarc >= DMARC__COUNT || a->dmarc_policy >= DMARC_P__COUNT ||
	    a->dmarc_applies >= DMARC_P__COUNT || a->arc >= ARC__COUNT || !IS_TEXT(a->from_domain) || !IS_TEXT(a->org_domain) ||
	    !IS_TEXT(a->dmarc_domain) || !IS_TEXT(a->arc_sealer))
		return false;
	for (size_t i = 0; i < a->dkim_count; i++)
		if (a->dkim[i].result >= DKIM__COUNT || !IS_TEXT(a->dkim[i].domain) || !IS_TEXT(a->dkim[i].selector) || !IS_TEXT(a->dkim[i].reason))
			return false;
	return true;
}
