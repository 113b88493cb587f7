/* prepare.h - what the mail parsers need from outside, fetched once before a worker's cage closes. */
#ifndef POLICYD_MAIL_PREPARE_H
#define POLICYD_MAIL_PREPARE_H

/* Opens the charset converters and the Public Suffix List. Called in the zygote before it forks, and by tools. */
void mail_prepare(void);

#endif
