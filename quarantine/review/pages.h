/* pages.h - the handlers of router.c's table, and what their pages have in common. */
#ifndef QUARANTINE_REVIEW_PAGES_H
#define QUARANTINE_REVIEW_PAGES_H

#include "quarantine/review/review.h"

/* page.c */
void page_head(struct call *c);
void page_foot(struct call *c);
void put_csrf(struct call *c);                              /* the hidden field of a form */
void put_badge(struct call *c, const char *kind, const char *words);
void put_size(struct call *c, double bytes);
void put_query(struct call *c, const char *name, const char *value);       /* "&name=value", percent-encoded; nothing if empty */
/* A held mail as forms name it, "q1:0", and the page of it, "/m/q1/html?n=0"; both with its node, if that is another one. */
void put_entry_id(struct call *c, const json_t *entry);
void put_entry_path(struct call *c, const json_t *entry, const char *what);
const char *json_word(const json_t *object, const char *name);             /* "" when it is no text */
bool call_rights_of(struct call *c, const json_t *entry, unsigned *rights);

/* system.c */
void get_health(struct call *c);
void get_metrics(struct call *c);
void get_static(struct call *c);
void get_openapi(struct call *c);

/* page_signin.c */
void get_signin(struct call *c);
void post_signin(struct call *c);
void post_signout(struct call *c);
void post_language(struct call *c);
void get_me(struct call *c);
const char *session_cookie_name(const struct call *c);
void session_cookie(const struct call *c, const char *value, int age_s, char *to, size_t room);

/* page_list.c */
void get_list(struct call *c);
void put_flash(struct call *c);                             /* what the last change of this viewer did, with its way back */
/* page_message.c */
void get_message(struct call *c);
void message_ask(struct call *c, bool raw, backend_done done);             /* the entry of the path, in the viewer's scope */
void message_show(struct call *c);
/* page_content.c: what is in the mail, read by a caged worker */
void message_read(struct call *c, const json_t *entry, unsigned rights, int fd);   /* then message_show; takes `fd` */
void message_body(struct call *c, const json_t *entry, unsigned rights);
json_t *rights_json(unsigned rights);
void get_message_html(struct call *c);
void get_message_mail(struct call *c);

/* page_seals.c: the provider's people reading a customer's mail */
void post_unseal(struct call *c);
void get_seals(struct call *c);
void post_seal(struct call *c);

/* page_link.c: what the links in our mails lead to */
void get_link(struct call *c);
void post_link(struct call *c);
void get_signin_mail(struct call *c);
void post_signin_mail(struct call *c);
void get_in(struct call *c);
void post_in(struct call *c);
void get_ask(struct call *c);
void post_ask(struct call *c);
void get_unsubscribe(struct call *c);
void post_unsubscribe(struct call *c);

/* page_settings.c */
void get_settings(struct call *c);
void post_settings(struct call *c);
void post_settings_list(struct call *c);
void post_settings_review(struct call *c);
void post_sender(struct call *c);

void post_peer(struct call *c);                             /* peer_serve.c */
void get_stats(struct call *c);                             /* page_stats.c */
/* policies.c */
void get_policies(struct call *c);
void get_policy(struct call *c);
void put_policy(struct call *c);
void delete_policy(struct call *c);
void get_policy_explain(struct call *c);
void get_policy_history(struct call *c);
void get_policy_canary(struct call *c);
void post_policy_simulate(struct call *c);
void get_policy_schema(struct call *c);
void post_policy_import(struct call *c);
void get_customer_use(struct call *c);
void post_customer_rollback(struct call *c);
void delete_customer(struct call *c);
void get_audit(struct call *c);                             /* page_audit.c */
void get_support(struct call *c);                           /* page_support.c */

/* change.c */
void post_change(struct call *c);
json_t *flash_take(struct call *c, const char *id);         /* borrowed: what the last change of this viewer did; NULL: none */
enum text change_words(const char *op);                     /* "released", "deleted", ... */
unsigned change_right(const char *op);                      /* all rights that it takes; 0: no such op */
json_t *allow_wish(struct call *c);                         /* the store's "allow", out of the fields "days" and "comment" */
void audit_allow(struct call *c, const json_t *result, const char *customer);      /* that an entry was put onto a list with it */
void put_allow(struct call *c, const char *entry);          /* "all mail of b.example": an allow entry in words */
void put_allow_result(struct call *c, const json_t *result);

#endif
