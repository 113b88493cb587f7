#include "policyd/broker/rcpt.h"

#include <stdio.h>

bool
rcpt_reserved(const struct config *config, struct span recipient)
{
	recipient = span_trim(recipient);
	if (recipient.n > 0 && recipient.p[recipient.n - 1] == '>')
		recipient.n--;
	while (recipient.n > 0 && recipient.p[recipient.n - 1] == '.')
		recipient.n--;
	size_t at = span_find_last(recipient, '@');

	return config->deliver_domain[0] && at != SPAN_NONE && span_eq_nocase(span_from(recipient, at + 1), span_of(config->deliver_domain));
}

bool
rcpt_needs_lists(const struct policy *policy)
{
	return policy->filter && policy->dnsbl == DNSBL_MODE_REJECT && isfinite(policy->dnsbl_threshold);
}

bool
rcpt_needs_sender(const struct policy *policy)
{
	return policy->filter && policy->spf_fail == OUT_REJECT;
}

void
rcpt_decide(const struct config *config, const struct policy *policy, const struct dnsbl_result *lists,
    const struct auth_sender *sender, const struct ip *client, enum listed listed, const char *reference, struct rcpt_check *out)
{
	char address[INET6_ADDRSTRLEN];
	const char *zone = "";
	double most = 0;

	*out = (struct rcpt_check){ .action = RCPT_ACCEPT };
	if (listed == LISTED_BLOCK && policy->filter && policy->blocked == OUT_REJECT) {
		out->action = RCPT_REJECT;
		snprintf(out->code, sizeof out->code, "550");
		snprintf(out->xcode, sizeof out->xcode, "5.7.1");
		snprintf(out->text, sizeof out->text, "The recipient does not take mail of this sender (ref %s)", reference);
		return;
	}
	if (listed != LISTED_ALLOW && sender && sender->asked && sender->spf == SPF_FAIL && rcpt_needs_sender(policy)) {
		ip_print(client, address);
		out->action = RCPT_REJECT;
		snprintf(out->code, sizeof out->code, "550");
		snprintf(out->xcode, sizeof out->xcode, "5.7.23");   /* RFC 7372, 3.2 */
		snprintf(out->text, sizeof out->text, "%.60s says that [%s] does not send its mail (SPF)%s%.120s (ref %s)", sender->spf_domain,
		    address, sender->spf_explanation[0] ? ": " : "", sender->spf_explanation, reference);
		return;
	}
	if (listed == LISTED_ALLOW || lists == NULL || !rcpt_needs_lists(policy) || lists->points < policy->dnsbl_threshold)
		return;
	for (size_t i = 0; i < lists->count; i++)
		if (lists->at[i].answer == DNSBL_LISTED && lists->at[i].points > most) {
			most = lists->at[i].points;
			zone = config->dnsbl[lists->at[i].list].zone;
		}
	ip_print(client, address);
	out->action = RCPT_REJECT;
	snprintf(out->code, sizeof out->code, "550");
	snprintf(out->xcode, sizeof out->xcode, "5.7.1");
	snprintf(out->text, sizeof out->text, "Service unavailable; client [%s] blocked using %.200s (ref %s)", address, zone, reference);
}
