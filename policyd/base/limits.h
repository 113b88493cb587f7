/* limits.h - every bound on hostile input, in one place.
 *
 * What is over a bound is cut there and noted as a finding; nothing further in needs an error path.
 */
#ifndef POLICYD_BASE_LIMITS_H
#define POLICYD_BASE_LIMITS_H

enum {
	/* a scan */
	MAX_SCAN_MEMORY      = 512 * 1024 * 1024, /* arena of one mail; a worker over it ends */
	MAX_WORKER_MAILS     = 100,               /* then it retires */
	MAX_FINDINGS         = 1000,              /* symbols of one mail */
	MAX_EVIDENCE         = 160,               /* bytes shown beside a symbol */

	/* a session */
	MAX_ADDRESS          = 512,               /* bytes of one envelope address, brackets included */
	MAX_RECIPIENTS       = 50000,             /* of one transaction; the next gets 452 */
	MAX_HELO             = 255,
	MAX_HOST_NAME        = 255,
	MAX_LOGIN            = 255,
	MAX_QUEUE_ID         = 64,
	MAX_REPLY_TEXT       = 400,               /* bytes of one SMTP reply we choose */

	/* headers */
	MAX_HEADERS          = 2000,
	MAX_HEADER_BYTES     = 1024 * 1024,       /* of one mail's header block */
	MAX_HEADER_LINE      = 65536,             /* one header, folds included */
	MAX_ADDRESSES        = 1000,              /* of one address header */
	MAX_RECEIVED         = 100,

	/* parts */
	MAX_PARTS            = 2000,              /* over all readings */
	MAX_PART_DEPTH       = 60,
	MAX_REPORTED         = 50,                /* mails attached to one report that are learnt of it */
	MAX_SWEEP            = 192 * 1024 * 1024, /* bytes decoded for other readings than the strict one */
	MAX_PARAMS           = 64,                /* of one Content-* header */
	MAX_REPEATED         = 16,                /* times that one Content-* header is read when it stands there again */
	MAX_EXTENSION        = 12,                /* bytes after the last dot of a file name that make a kind of file */
	MAX_LAYERS           = 1024,              /* that ClamAV found in one mail and that need no second look */

	/* text and links */
	MAX_TEXT             = 4 * 1024 * 1024,   /* visible text of one mail, UTF-8 */
	MAX_HTML             = 8 * 1024 * 1024,   /* HTML looked at in one mail */
	MAX_HTML_DEPTH       = 512,               /* open elements; what is deeper is read as if beside the last, as browsers do */
	MAX_STYLE_RULES      = 4096,              /* of one page's <style>, that have a say in what is seen */
	MAX_STYLE_WORK       = 4 * 1000 * 1000,   /* comparisons of one page's elements with them */
	MAX_LINKS            = 2000,
	MAX_LINK             = 2048,              /* bytes of one link */
	MAX_HOSTS_ASKED      = 64,                /* distinct names of one mail asked in DNS */

	/* archives */
	MAX_ARCHIVE_ENTRIES  = 10000,             /* as many as ClamAV is told to look at */
	MAX_ARCHIVE_DEPTH    = 6,
	MAX_UNPACKED         = 400 * 1024 * 1024, /* bytes out of all archives of one mail; slow methods count four times */
	MAX_PAGE_INSIDE      = 1024 * 1024,       /* HTML looked at in one file of an archive */

	/* DNS */
	MAX_SPF_RECORD       = 8 * 1024,          /* bytes of one SPF record; a longer one is a permerror */
	MAX_CHECK_MEMORY     = 64 * 1024 * 1024,  /* of one check of a sender in the broker; ten records of that size need a tenth */
	MAX_HASHED           = 256 * 1024 * 1024, /* bytes of body hashed for the signatures of one mail, beyond the first */
	MAX_SIGNED_FIELDS    = 1000,              /* names in the h= of one signature */
	MAX_KEY_RECORD       = 8 * 1024,          /* bytes of one key or DMARC record */
	MAX_DNSBL            = 32,                /* lists by config */
	MAX_HOSTS_TOLD       = 512,               /* distinct names of one mail that lists of names hear of; MAX_HOSTS_ASKED go to DNS */
	MAX_NAMESET          = 1 << 30,           /* bytes of a local copy of a list of names */
	MAX_DNS_IN_FLIGHT    = 512,               /* queries to the resolver at once */
	MAX_DNS_CACHE        = 65536,             /* entries */
	MAX_DNS_CACHE_BYTES  = 64 * 1024 * 1024,  /* the records in them */
	MAX_DNS_ANSWERS      = 32,                /* addresses of one list's answer that are judged */
	MAX_DNS_RECORDS      = 512,               /* of one answer; one with more is none */
	MAX_DNS_ALIASES      = 8,                 /* CNAMEs one after the other */

	/* what a scan asks the broker */
	MAX_QUESTIONS        = 256,               /* of one batch */
	MAX_ASKED            = 1024,              /* of one mail */
	MAX_REDIS_VALUE      = 4096,              /* bytes of a value that a rule gets */

	/* processes */
	MAX_LISTENERS        = 16,
	MAX_WORKERS          = 64,
	MAX_QUEUED_MAILS     = 1000,              /* waiting for a worker; the next gets 451 4.3.2 at once */
	MAX_PACKET           = 64 * 1024,         /* one inline IPC packet; larger ones travel as a memfd */
	MAX_PACKET_MEMFD     = 64 * 1024 * 1024,

	/* policy delegation */
	MAX_POLICY_REQUEST   = 10 * 1024,
	MAX_POLICY_ATTRS     = 100,
	MAX_POLICY_CLIENTS   = 4096,
	POLICY_UNFINISHED_MS = 30 * 1000,
	POLICY_IDLE_MS       = 300 * 1000,

	/* review's HTTP */
	MAX_HTTP_HEAD        = 16 * 1024,         /* request line and headers */
	MAX_HTTP_HEADERS     = 64,
	MAX_HTTP_TARGET      = 4096,
	MAX_HTTP_BODY        = 256 * 1024,
	MAX_HTTP_CLIENTS     = 1024,              /* connections at once */
	MAX_HTTP_PER_ADDRESS = 128,

	/* limits */
	MAX_ALARM_ARGS       = 8,                 /* of alarms.command, itself included */
	MAX_BUCKETS          = 256 * 1024,        /* token buckets that one node keeps in mind */

	/* policies */
	MAX_POLICY_CLASSES   = 64,                /* distinct classes scored in one mail; more are scored in turns */

	/* rules */
	MAX_RULE_SETS        = 256,               /* everybody's and customers' */
	MAX_CUSTOMER_MEMORY  = 8 * 1024 * 1024,   /* of the state of one customer's rules */
	MAX_CUSTOMER_MS      = 100,               /* all rules of one customer over one mail */
	MAX_LUA_MEMORY       = 32 * 1024 * 1024,  /* one state */
	MAX_LUA_BLOCK        = 4 * 1024 * 1024,   /* one string or table part, while rule files are read */
	MAX_LUA_JUDGING_BLOCK = 1024 * 1024,      /* while they judge: one instruction may go over all of it (a == b) */
	MAX_LUA_STEPS        = 10 * 1000 * 1000,  /* instructions of one rule on one mail */
	MAX_RULE_MS          = 200,
	MAX_RULES_MS         = 500,
	MAX_RULES_WAIT_MS    = 1500,              /* all rules' waiting for DNS and Redis */
	MAX_RULE_QUESTIONS   = 32,                /* that one rule may ask about one mail */
	MAX_SET_QUESTIONS    = 256,               /* all rules of everybody, or of one customer */
	MAX_RULE_SUBJECT     = 256 * 1024,        /* bytes one pattern is run over */
	PCRE_MATCH_LIMIT     = 100000,
	PCRE_JIT_STACK       = 1024 * 1024,
};

#endif
