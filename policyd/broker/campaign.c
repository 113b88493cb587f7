#include "policyd/broker/campaign.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/metrics.h"
#include "policyd/broker/dispatch.h"
#include "policyd/broker/lanes.h"

struct finding {
	const char *name;
	double points;
	char evidence[MAX_EVIDENCE + 1];
};

static void
pack_findings(struct buf *body, const struct finding *findings, uint32_t count)
{
	uint32_t shown = 0;

	for (uint32_t i = 0; i < count; i++)
		shown += findings[i].evidence[0] != '\0';
	pack_u32(body, W_ASK_CAMPAIGN);
	pack_u32(body, shown);
	for (uint32_t i = 0; i < count; i++) {
		struct symbol symbol = { .name = span_of(findings[i].name), .points = findings[i].points, .evidence = span_of(findings[i].evidence) };

		if (findings[i].evidence[0])
			wire_pack_symbol(body, &symbol);
	}
}

static void
known(void *arg, const struct campaigns_found *found)
{
	enum { ALL, REPORTED, CAUGHT, PART, UNKNOWN, FINDINGS };
	struct finding f[FINDINGS] = { [ALL] = { .name = "CAMPAIGN" }, [REPORTED] = { .name = "CAMPAIGN_REPORTED" },
	    [CAUGHT] = { .name = "CAMPAIGN_CAUGHT" }, [PART] = { .name = "CAMPAIGN_PART" }, [UNKNOWN] = { .name = "CAMPAIGN_UNKNOWN" } };
	const struct campaign *c = &found->campaign;
	struct tx *tx = arg;
	struct buf body = { 0 };

	tx->campaign_wait = NULL;
	tx->campaign = *found;
	if (!found->known)
		snprintf(f[UNKNOWN].evidence, sizeof f[UNKNOWN].evidence, "Redis gave no answer");
	if (found->text) {
		campaign_judge(c, &f[REPORTED].points, &f[CAUGHT].points);
		snprintf(f[ALL].evidence, sizeof f[ALL].evidence, "%.0f %% like %u mails to %u recipients of %u customers; reports: %u spam, %u ham",
		    100 * found->share, c->mails, c->recipients, c->customers, c->spam, c->ham);
	}
	for (uint32_t i = 0; found->known && i < tx->alike.part_count; i++) {
		const struct campaign *part = &found->parts[i];
		double points = campaign_part(part);

		if (points > f[PART].points) {
			f[PART].points = points;
			snprintf(f[PART].evidence, sizeof f[PART].evidence, "a file in %u mails; reports: %u spam, %u ham", part->mails, part->spam, part->ham);
		}
	}
	if (f[REPORTED].points > 0)
		snprintf(f[REPORTED].evidence, sizeof f[REPORTED].evidence, "%u spam, %u ham", c->spam, c->ham);
	if (f[CAUGHT].points > 0)
		snprintf(f[CAUGHT].evidence, sizeof f[CAUGHT].evidence, "%u of %u", c->caught, c->mails);
	tx->campaign_points = f[REPORTED].points + f[CAUGHT].points + f[PART].points;
	metrics_add(M_CAMPAIGN_FOUND, found->text);
	metrics_add(M_CAMPAIGN_WEIGHED, tx->campaign_points > 0);
	metrics_add(M_CAMPAIGN_UNKNOWN, !found->known);
	pack_findings(&body, f, FINDINGS);
	work_tell(tx->work, W_FOUND, &body);
}

static bool
unpack_alike(struct unpack *u, struct alike *alike)
{
	struct span bytes = unpack_span(u);

	if (u->bad || bytes.n != sizeof *alike)
		return false;
	memcpy(alike, bytes.p, sizeof *alike);
	return alike->part_count <= ALIKE_PARTS;
}

void
campaign_forget(struct tx *tx)
{
	if (tx->campaign_wait)
		campaigns_cancel(tx->campaign_wait);
	tx->campaign_wait = NULL;
}

void
campaign_asked(struct tx *tx, struct unpack *u)
{
	campaign_forget(tx);
	tx->campaign = (struct campaigns_found){ 0 };
	tx->campaign_points = 0;
	if (!unpack_alike(u, &tx->alike)) {
		tx->alike = (struct alike){ 0 };
		return;                      /* it goes on without an answer */
	}
	struct campaigns_wait *wait = campaigns_find(tx->broker->campaigns, &tx->alike, known, tx);

	if (wait)
		tx->campaign_wait = wait;
}

/* Caught by what else there is: a campaign does not feed on itself. By everybody's thresholds, not those of one mailbox. */
static bool
caught(const struct tx *tx)
{
	double most = 0;

	for (uint32_t i = 0; i < tx->scanned.score_count; i++)
		most = tx->scanned.scores[i].points > most ? tx->scanned.scores[i].points : most;
	return (tx->scanned.classes & (CLASS_VIRUS | CLASS_PHISH)) || most - tx->campaign_points >= tx->config->policy_default.quarantine;
}

void
campaign_note(struct tx *tx)
{
	const char **names;

	if (!tx->have_scanned || !tx->campaign.known || tx->gate == NULL || (names = calloc(2 * tx->recipient_count, sizeof *names)) == NULL)
		return;
	for (uint32_t i = 0; i < tx->recipient_count; i++) {
		names[i] = tx->recipients[i].raw;
		names[tx->recipient_count + i] = tx->recipients[i].policy->customer[0] ? tx->recipients[i].policy->customer : "-";
	}
	const struct campaigns_mail mail = { .alike = &tx->alike, .found = &tx->campaign, .caught = caught(tx), .recipients = names,
	    .customers = names + tx->recipient_count, .count = tx->recipient_count };

	campaigns_note(tx->broker->campaigns, &mail);
	if (tx->campaign.text && tx->campaign.campaign.mails >= LANE_ALIKE)
		lanes_alike(tx->broker->lanes, span_of(tx->envelope.sender));
	free(names);
}

void
campaign_report(struct broker *b, struct unpack *u, bool spam, bool undo, const char *voice)
{
	struct alike alike;

	if (!unpack_alike(u, &alike))
		return;
	metrics_add(M_CAMPAIGN_REPORTS, 1);
	campaigns_report(b->campaigns, &alike, spam, undo, voice);
}
