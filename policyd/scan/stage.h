/* stage.h - every stage of a message, in flow order. Each is defined where its knowledge is. */
#ifndef POLICYD_SCAN_STAGE_H
#define POLICYD_SCAN_STAGE_H

#include "policyd/scan/scan.h"

enum stage_result { STAGE_DONE, STAGE_UNKNOWN };
/* What the mail suffers when a stage cannot tell. */
enum stage_failure { CARRY_ON, DEFER };

enum stage_result stage_mime(struct scan *scan);       /* scan/stage_mime.c: parse; notes become symbols */
enum stage_result stage_relay(struct scan *scan);      /* scan/stage_relay.c: the client behind a trusted relay; lists are asked */
enum stage_result stage_auth_ask(struct scan *scan);   /* scan/stage_auth.c: SPF's answer, keys and records are asked for */
enum stage_result stage_names(struct scan *scan);      /* scan/stage_names.c: lists of names are asked about links, sender, ... */
enum stage_result stage_alike(struct scan *scan);      /* scan/stage_campaign.c: fingerprints; mails like it are asked for */
enum stage_result stage_clamav(struct scan *scan);     /* worker/antivirus.c: raw mail and every part */
enum stage_result stage_lists(struct scan *scan);      /* scan/stage_relay.c: what they say of him */
enum stage_result stage_auth(struct scan *scan);       /* scan/stage_auth.c: who sent it */
enum stage_result stage_listed(struct scan *scan);     /* scan/stage_names.c: what they say */
enum stage_result stage_campaign(struct scan *scan);   /* scan/stage_campaign.c: what is known of them */
enum stage_result stage_reputation(struct scan *scan); /* scan/stage_reputation.c: what mail of the same origin was like */
enum stage_result stage_bayes(struct scan *scan);      /* scan/stage_bayes.c: features once, log-odds per class */
enum stage_result stage_rules(struct scan *scan);      /* lua/stage_rules.c: symbols of the Lua rules */
enum stage_result stage_score(struct scan *scan);      /* lua/stage_score.c: score.lua sums to points per class */

/* All of them, by the table of pipeline.c. */
void pipeline_run(struct scan *scan);

#endif
