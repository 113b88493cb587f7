/* stage_campaign.c - other mails like this one: fingerprints are made and asked about before ClamAV, what nodes know of the campaign
 * is taken after it. */
#include "policyd/scan/alike.h"
#include "policyd/scan/stage.h"
#include "policyd/wire.h"

enum { CAMPAIGN_GRACE_MS = 200 };

enum stage_result
stage_alike(struct scan *scan)
{
	struct alike *alike;
	struct buf body = { 0 };

	if (scan->asker == NULL || !scan->kit->config->campaigns)
		return STAGE_DONE;
	alike = ARENA_NEW(scan->arena, struct alike);
	alike_read(&scan->message, alike);
	if (!alike->text && alike->part_count == 0)
		return STAGE_DONE;
	pack_span(&body, span_make(alike, sizeof *alike));
	scan->asker->ask_findings(scan->asker, W_ASK_CAMPAIGN, &body);
	scan->campaign_asked = true;
	return STAGE_DONE;
}

enum stage_result
stage_campaign(struct scan *scan)
{
	int wait_ms = (int)scan->kit->config->redis_mail_ms + CAMPAIGN_GRACE_MS;

	return !scan->campaign_asked || scan->asker->take_findings(scan->asker, scan, W_ASK_CAMPAIGN, wait_ms) ? STAGE_DONE : STAGE_UNKNOWN;
}
