/* catalogue.h - every word of the pages in English and German; text.h makes an enum and a table of it. */
#ifndef QUARANTINE_REVIEW_CATALOGUE_H
#define QUARANTINE_REVIEW_CATALOGUE_H

#define TEXT_LIST(X) \
	X(T_NOTHING, "", "") \
	/* the frame */ \
	X(T_SKIP, "Skip to the content", "Zum Inhalt springen") \
	X(T_NAVIGATION, "Pages", "Seiten") \
	X(T_TAB_HELD, "Held mail", "Zurückgehaltene Mail") \
	X(T_SIGN_OUT, "Sign out", "Abmelden") \
	X(T_LANGUAGE, "Language:", "Sprache:") \
	X(T_BACK_HOME, "To the start page", "Zur Startseite") \
	/* errors */ \
	X(T_NOT_THERE, "There is nothing here", "Hier ist nichts") \
	X(T_NOT_ALLOWED, "You may not do that", "Das ist Ihnen nicht erlaubt") \
	X(T_SIGN_IN_FIRST, "Please sign in first", "Bitte melden Sie sich zuerst an") \
	X(T_FORM_OLD, "This form is too old or came from another site; please open the page again", \
	  "Dieses Formular ist zu alt oder kam von einer anderen Seite; bitte öffnen Sie die Seite neu") \
	X(T_BAD_REQUEST, "That request makes no sense", "Diese Anfrage ergibt keinen Sinn") \
	X(T_TRY_LATER, "A part of the system does not answer right now; nothing was changed. Please try again in a minute", \
	  "Ein Teil des Systems antwortet gerade nicht; nichts wurde geändert. Bitte versuchen Sie es in einer Minute noch einmal") \
	/* signing in */ \
	X(T_SIGN_IN, "Sign in", "Anmelden") \
	X(T_NAME, "Name or mail address", "Name oder Mailadresse") \
	X(T_PASSWORD, "Password", "Passwort") \
	X(T_CODE, "One-time code, if you use one", "Einmalcode, falls Sie einen verwenden") \
	X(T_SIGN_IN_WRONG, "Name, password or code are not right", "Name, Passwort oder Code stimmen nicht") \
	X(T_TOO_MANY, "Too many attempts.", "Zu viele Versuche.") \
	X(T_WAIT, "Please wait", "Bitte warten Sie") \
	X(T_ROLE_OWNER, "mailbox owner", "Postfachinhaber") \
	X(T_ROLE_ADMIN, "administrator", "Administrator") \
	X(T_ROLE_SUPPORT, "support", "Support") \
	X(T_ROLE_ABUSE, "abuse desk", "Abuse-Team") \
	/* the list */ \
	X(T_SEARCH, "Search", "Suche") \
	X(T_SEARCH_HINT, "sender or subject", "Absender oder Betreff") \
	X(T_RECIPIENT, "Recipient", "Empfänger") \
	X(T_CLASS, "Kind", "Art") \
	X(T_STATE, "State", "Zustand") \
	X(T_SORT, "Order", "Reihenfolge") \
	X(T_SHOW, "Show", "Anzeigen") \
	X(T_SORT_NEWEST, "newest first", "neueste zuerst") \
	X(T_SORT_OLDEST, "oldest first", "älteste zuerst") \
	X(T_SORT_CLOSEST, "most likely wanted first", "wahrscheinlich erwünschte zuerst") \
	X(T_SORT_POINTS, "highest score first", "höchste Punkte zuerst") \
	X(T_STATE_HELD, "held", "zurückgehalten") \
	X(T_STATE_NEW, "new", "neu") \
	X(T_STATE_SEEN, "seen", "gesehen") \
	X(T_STATE_REQUESTED, "release asked for", "Zustellung erbeten") \
	X(T_STATE_RELEASING, "on its way", "unterwegs") \
	X(T_STATE_RELEASED, "delivered", "zugestellt") \
	X(T_STATE_DELETED, "deleted", "gelöscht") \
	X(T_STATE_EXPIRED, "expired", "abgelaufen") \
	X(T_STATE_ALL, "all", "alle") \
	X(T_CLASS_ALL, "all", "alle") \
	X(T_CLASS_SPAM, "spam", "Spam") \
	X(T_CLASS_BULK, "bulk mail", "Massenmail") \
	X(T_CLASS_PHISH, "phishing", "Phishing") \
	X(T_CLASS_VIRUS, "virus", "Virus") \
	X(T_CLASS_BANNED, "forbidden file", "verbotene Datei") \
	X(T_CLASS_UNSCANNABLE, "not scannable", "nicht prüfbar") \
	X(T_PICK, "Pick", "Auswählen") \
	X(T_PICK_ALL, "All on this page", "Alle auf dieser Seite") \
	X(T_PICKED, "picked", "ausgewählt") \
	X(T_NO_SUBJECT, "(no subject)", "(kein Betreff)") \
	X(T_ALIKE, "alike", "gleiche") \
	X(T_TO, "To", "An") \
	X(T_MORE, "Next page", "Nächste Seite") \
	X(T_NOTHING_HELD, "Nothing is held here. All is well.", "Hier wird nichts zurückgehalten. Alles in Ordnung.") \
	X(T_KEYS, "Keys: j and k move, x picks, o opens, r delivers, d deletes, / searches, ? shows this", \
	  "Tasten: j und k bewegen, x wählt aus, o öffnet, r stellt zu, d löscht, / sucht, ? zeigt dies") \
	/* what can be done */ \
	X(T_RELEASE, "Deliver", "Zustellen") \
	X(T_RELEASE_ALLOW, "Deliver, now and always", "Zustellen, jetzt und immer") \
	X(T_ALLOW_MORE, "Deliver, and always from now on", "Zustellen, und von nun an immer") \
	X(T_ALLOW_WHAT, "From now on this comes through, whatever its points (never viruses, phishing, forbidden files):", \
	  "Von nun an kommt dies durch, gleich mit wie vielen Punkten (nie Viren, Phishing, verbotene Dateien):") \
	X(T_ALLOW_UNPROVED, "Nobody has vouched for the sender of this mail. What you allow counts for later mail that is proved to be his.", \
	  "Für den Absender dieser Mail bürgt niemand. Was Sie zulassen, gilt für spätere Mail, die nachweislich von ihm kommt.") \
	X(T_ALLOW_DAYS, "For how long", "Für wie lange") \
	X(T_FOR_EVER, "for ever", "für immer") \
	X(T_FOR_MONTH, "a month", "einen Monat") \
	X(T_FOR_YEAR, "a year", "ein Jahr") \
	X(T_COMMENT, "Note for yourself", "Notiz für Sie selbst") \
	X(T_ALLOW_FROM, "mail from", "Mail von") \
	X(T_ALLOW_DOMAIN, "all mail from the domain", "alle Mail der Domain") \
	X(T_ALLOW_DKIM, "all mail signed by", "alle Mail, signiert von") \
	X(T_ALLOW_LIST_ID, "the mailing list", "die Mailingliste") \
	X(T_ALLOW_SIGNED, "signed by", "signiert von") \
	X(T_ALWAYS_NOW, "Always delivered from now on", "Wird von nun an immer zugestellt") \
	X(T_NOT_ALWAYS, "Its sender was not put on your list", "Der Absender kam nicht auf Ihre Liste") \
	X(T_DONE_ALLOW, "delivered or on its way", "zugestellt oder unterwegs") \
	X(T_APPROVE, "Approve and deliver", "Genehmigen und zustellen") \
	X(T_DENY, "Decline", "Ablehnen") \
	X(T_REQUEST, "Ask for delivery", "Um Zustellung bitten") \
	X(T_DELETE, "Delete", "Löschen") \
	X(T_UNDO, "Undo", "Rückgängig machen") \
	X(T_VOTE_HAM, "This is no spam: learn from it", "Das ist kein Spam: daraus lernen") \
	X(T_UNVOTE, "Take the lesson back", "Lektion zurücknehmen") \
	X(T_TICKET, "Ticket number", "Ticketnummer") \
	X(T_TICKET_NEEDED, "Support gives a ticket number with every delivery", "Der Support gibt zu jeder Zustellung eine Ticketnummer an") \
	X(T_NONE_PICKED, "Nothing was picked", "Nichts wurde ausgewählt") \
	X(T_TOO_MANY_PICKED, "At most 200 at once", "Höchstens 200 auf einmal") \
	X(T_NOT_DONE, "not done", "nicht ausgeführt") \
	X(T_DONE_RELEASE, "delivered or on its way", "zugestellt oder unterwegs") \
	X(T_DONE_DELETE, "deleted", "gelöscht") \
	X(T_DONE_REQUEST, "asked for; whoever looks after your mail will decide", "erbeten; Ihre Mailverwaltung wird entscheiden") \
	X(T_DONE_DENY, "declined", "abgelehnt") \
	X(T_DONE_UNDO, "taken back", "rückgängig gemacht") \
	X(T_DONE_HAM, "noted as no spam", "als kein Spam vermerkt") \
	X(T_DONE_SPAM, "noted as spam", "als Spam vermerkt") \
	X(T_DONE_UNVOTE, "lessons taken back", "Lektionen zurückgenommen") \
	X(T_DONE_SEEN, "changed", "geändert") \
	/* one message */ \
	X(T_MESSAGE, "Message", "Nachricht") \
	X(T_FROM, "From", "Von") \
	X(T_ENVELOPE, "Sent by way of", "Gesendet über") \
	X(T_RECEIVED, "Received", "Eingegangen") \
	X(T_SIZE, "Size", "Größe") \
	X(T_KEPT_UNTIL, "Kept until", "Aufbewahrt bis") \
	X(T_CLIENT, "Sending server", "Sendender Server") \
	X(T_MESSAGE_ID, "Message-ID", "Message-ID") \
	X(T_QUEUE_ID, "Queue id", "Queue-ID") \
	X(T_CUSTOMER, "Customer", "Kunde") \
	X(T_POINTS, "points", "Punkte") \
	X(T_TAG_AT, "marked from", "markiert ab") \
	X(T_HOLD_AT, "held from", "zurückgehalten ab") \
	X(T_DISCARD_AT, "dropped from", "verworfen ab") \
	X(T_WHY, "Why it was held", "Warum sie zurückgehalten wurde") \
	X(T_NO_REASONS, "No single reasons were kept with this mail.", "Zu dieser Mail wurden keine einzelnen Gründe vermerkt.") \
	X(T_WHY_SPAM, "This looks like spam. If you know the sender and wait for it, have it delivered.", \
	  "Das sieht nach Spam aus. Wenn Sie den Absender kennen und sie erwarten, lassen Sie sie zustellen.") \
	X(T_WHY_BULK, "This is a newsletter or other mail to many.", "Das ist ein Newsletter oder eine andere Mail an viele.") \
	X(T_WHY_PHISH, "This mail seems to be after passwords or money. Do not trust its links.", \
	  "Diese Mail scheint es auf Passwörter oder Geld abgesehen zu haben. Trauen Sie ihren Links nicht.") \
	X(T_WHY_VIRUS, "The virus scanner has found something in this mail. It cannot be delivered from here.", \
	  "Der Virenscanner hat in dieser Mail etwas gefunden. Sie kann von hier nicht zugestellt werden.") \
	X(T_WHY_BANNED, "This mail carries a kind of file that your mail policy does not let in.", \
	  "Diese Mail trägt eine Art von Datei, die Ihre Mailrichtlinie nicht einlässt.") \
	X(T_WHY_UNSCANNABLE, "This mail could not be checked to the end, so it is kept here.", \
	  "Diese Mail konnte nicht zu Ende geprüft werden, darum liegt sie hier.") \
	X(T_RELEASED_NOTE, "What the mail server said", "Was der Mailserver sagte") \
	X(T_HEADERS, "All header lines", "Alle Kopfzeilen") \
	X(T_AUTHENTICATION, "Is the sender who he says he is?", "Ist der Absender, wer er zu sein vorgibt?") \
	X(T_AUTHENTICATION_NONE, "Nothing was found out about that: neither the sending server nor a signature could be held against the name.", \
	  "Darüber ist nichts bekannt: Weder der sendende Server noch eine Signatur ließ sich mit dem Namen vergleichen.") \
	X(T_NOT_OURS, "not our word: anybody can write this", "nicht von uns: Das kann jeder hineinschreiben") \
	X(T_PARTS, "Attachments", "Anhänge") \
	X(T_NO_NAME, "(no name)", "(ohne Namen)") \
	X(T_REALLY, "really", "in Wahrheit") \
	X(T_LINKS, "Where it links to", "Wohin sie verweist") \
	X(T_LINK_LIES, "shows another site", "zeigt eine andere Seite an") \
	X(T_TEXT, "What it says", "Was darin steht") \
	X(T_TEXT_OF_HTML, "What it says (from its HTML)", "Was darin steht (aus dem HTML)") \
	X(T_NO_TEXT, "There is no text in this mail.", "In dieser Mail steht kein Text.") \
	X(T_CUT, "The rest is not shown.", "Der Rest wird nicht gezeigt.") \
	X(T_HTML, "How it was laid out (HTML)", "Wie sie gestaltet war (HTML)") \
	X(T_HTML_SAFE, "Without pictures, scripts or anything from elsewhere; every link shows where it really leads.", \
	  "Ohne Bilder, Skripte oder Fremdes; hinter jedem Link steht, wohin er wirklich führt.") \
	X(T_SEALED, "The text is sealed", "Der Text ist versiegelt") \
	X(T_SEALED_WHY, "It belongs to the customer. If you must read it, say why: a second person decides, you can then read it for an hour, and the customer sees all of this in his audit log.", \
	  "Er gehört dem Kunden. Wenn Sie ihn lesen müssen, geben Sie einen Grund an: Eine zweite Person entscheidet, dann können Sie ihn eine Stunde lang lesen, und der Kunde sieht das alles im Protokoll.") \
	X(T_SEAL_WAITS, "You have asked to read it; a second person has to agree.", "Sie haben darum gebeten, sie zu lesen; eine zweite Person muss zustimmen.") \
	X(T_REASON_NEEDED, "Please give a reason", "Bitte geben Sie einen Grund an") \
	X(T_SEALS, "Requests to read", "Leseanfragen") \
	X(T_SEALS_ADMIN, "The provider's staff cannot read your mail by themselves. When one of them has to, he asks here, and a colleague of his or you agree. Everything is in your audit log.", \
	  "Die Mitarbeiter des Anbieters können Ihre Mail nicht von sich aus lesen. Wenn jemand es muss, bittet er hier darum, und ein Kollege oder Sie stimmen zu. Alles steht in Ihrem Protokoll.") \
	X(T_SEALS_PROVIDER, "Reading a customer's mail takes two: one asks with a reason, another agrees. It then stays open for that one reader for an hour. The customer's admin sees all of it.", \
	  "Mail eines Kunden zu lesen braucht zwei: Einer bittet mit Begründung darum, ein anderer stimmt zu. Sie ist dann für diesen einen Leser eine Stunde offen. Der Admin des Kunden sieht das alles.") \
	X(T_SEALS_NONE, "Nobody has asked.", "Niemand hat gefragt.") \
	X(T_SEAL_ASKED, "waits for an answer", "wartet auf Antwort") \
	X(T_SEAL_OPEN, "may be read now", "darf jetzt gelesen werden") \
	X(T_SEAL_REFUSED, "not agreed to", "nicht zugestimmt") \
	X(T_SEAL_CLOSED, "over", "vorbei") \
	X(T_SEAL_DO_OPEN, "Agree, for an hour", "Zustimmen, für eine Stunde") \
	X(T_SEAL_DO_REFUSE, "Do not agree", "Nicht zustimmen") \
	X(T_SEAL_DO_CLOSE, "End it now", "Jetzt beenden") \
	X(T_SEAL_BY, "Answered by", "Beantwortet von") \
	X(T_SEAL_UNTIL, "until", "bis") \
	X(T_SEAL_SECOND, "Somebody else has to agree to that", "Dem muss jemand anders zustimmen") \
	X(T_SEAL_OVER, "That request has been answered, or its time is over", "Diese Anfrage ist beantwortet, oder ihre Zeit ist vorbei") \
	X(T_REASON, "Reason", "Grund") \
	X(T_UNSEAL, "Ask to read it", "Um Lesen bitten") \
	X(T_NOT_SHOWN, "This mail cannot be shown: it made the reader stop. It is kept as it is.", \
	  "Diese Mail kann nicht gezeigt werden: Sie hat den Leser zum Absturz gebracht. Sie bleibt unverändert liegen.") \
	X(T_DOWNLOAD, "Save the mail as it came", "Mail unverändert speichern") \
	/* links in mails */ \
	X(T_LINK_VOID, "This link is not valid any more", "Dieser Link gilt nicht mehr") \
	X(T_NUMBER, "number", "Nummer") \
	X(T_NUMBER_OF_MAIL, "The number that stands beside this link in the mail", "Die Nummer, die in der Mail neben diesem Link steht") \
	X(T_NUMBER_WRONG, "That is not the number from the mail. Nothing was done", "Das ist nicht die Nummer aus der Mail. Nichts wurde ausgeführt") \
	X(T_CHOOSE, "Please type the number and choose. Nothing was done yet", "Bitte geben Sie die Nummer ein und wählen Sie. Noch wurde nichts ausgeführt") \
	X(T_MAY_CLOSE, "You can close this page.", "Sie können diese Seite schließen.") \
	X(T_SIGN_IN_BY_MAIL, "Sign in by mail, without a password", "Per Mail anmelden, ohne Passwort") \
	X(T_SIGN_IN_BY_MAIL_HOW, "We send a code to your mailbox; type it on the next page.", "Wir schicken einen Code an Ihr Postfach; geben Sie ihn auf der nächsten Seite ein.") \
	X(T_ASK, "A mail of yours was refused", "Eine Mail von Ihnen wurde abgelehnt") \
	X(T_ASK_HOW, "Its recipient has kept a copy. You can ask for it to be delivered: type the address that you sent it from.", \
	  "Der Empfänger hat eine Kopie behalten. Sie können um die Zustellung bitten: Geben Sie die Adresse ein, von der Sie geschrieben haben.") \
	X(T_ASK_ADDRESS, "Sent from", "Gesendet von") \
	X(T_ASK_SEND, "Ask for it", "Darum bitten") \
	X(T_ASKED, "If that mail came from this address, its recipient sees that you ask for it. Nothing else happens by itself.", \
	  "Wenn jene Mail von dieser Adresse kam, sieht der Empfänger, dass Sie darum bitten. Von selbst geschieht weiter nichts.") \
	X(T_ADDRESS, "Your mail address", "Ihre Mailadresse") \
	X(T_SEND_CODE, "Send the code", "Code schicken") \
	X(T_CODE_SENT, "If we look after that mailbox, a mail with a code is on its way to it. It is good for 15 minutes.", \
	  "Wenn wir dieses Postfach betreuen, ist eine Mail mit einem Code dorthin unterwegs. Er gilt 15 Minuten.") \
	X(T_CODE_OF_MAIL, "The six digits from the mail", "Die sechs Ziffern aus der Mail") \
	X(T_SIGN_IN_SUBJECT, "Your code for signing in", "Ihr Code für die Anmeldung") \
	X(T_SIGN_IN_CODE, "Your code for the page of held mail:", "Ihr Code für die Seite der zurückgehaltenen Mail:") \
	X(T_SIGN_IN_ELSEWHERE, "If the page is not open any more, you can type it here:", "Falls die Seite nicht mehr offen ist, können Sie ihn hier eingeben:") \
	/* digests */ \
	X(T_DIGESTS, "Summaries by mail", "Zusammenfassungen per Mail") \
	X(T_DIGEST_ONE, "mail is held for you", "Mail wird für Sie zurückgehalten") \
	X(T_DIGEST_MANY, "mails are held for you", "Mails werden für Sie zurückgehalten") \
	X(T_DIGEST_INTRO, "These mails came in and were not delivered to", "Diese Mails kamen an und wurden nicht zugestellt an") \
	X(T_DIGEST_HOW, "The most likely wanted ones come first. Open one to read more about it, to have it delivered or to delete it; the page asks for its number. Doing nothing is fine: they are dropped after a while.", \
	  "Die wahrscheinlich erwünschten stehen zuerst. Öffnen Sie eine, um mehr zu erfahren, sie zustellen zu lassen oder zu löschen; die Seite fragt nach ihrer Nummer. Nichts zu tun ist in Ordnung: Nach einiger Zeit werden sie verworfen.") \
	X(T_DIGEST_ALL, "All held mail, and how often this summary comes:", "Alle zurückgehaltenen Mails, und wie oft diese Zusammenfassung kommt:") \
	X(T_LOOK, "Look at it", "Ansehen") \
	X(T_DIGESTS_OFF_HOW, "Your mail program stops them with its own button. Or sign in and choose in the settings.", \
	  "Ihr Mailprogramm beendet sie mit seinem eigenen Knopf. Oder melden Sie sich an und wählen Sie in den Einstellungen.") \
	X(T_DIGESTS_ARE_OFF, "You get no more summaries", "Sie bekommen keine Zusammenfassungen mehr") \
	X(T_DIGEST_ADMIN_ONE, "mail is held for your mailboxes", "Mail wird für Ihre Postfächer zurückgehalten") \
	X(T_DIGEST_ADMIN_MANY, "mails are held for your mailboxes", "Mails werden für Ihre Postfächer zurückgehalten") \
	X(T_DIGEST_ADMIN_INTRO, "Since the last summary this was held back, by mailbox:", "Seit der letzten Zusammenfassung wurde zurückgehalten, nach Postfächern:") \
	X(T_DIGEST_MORE_BOXES, "more mailboxes", "weitere Postfächer") \
	X(T_DIGEST_SEALS, "requests of your provider to read a mail wait for an answer", "Anfragen Ihres Anbieters, eine Mail zu lesen, warten auf Antwort") \
	X(T_DIGEST_ADMIN_ALL, "All held mail:", "Alle zurückgehaltenen Mails:") \
	X(T_DIGEST_REQUEST_ONE, "mail waits for your answer", "Mail wartet auf Ihre Antwort") \
	X(T_DIGEST_REQUEST_MANY, "mails wait for your answer", "Mails warten auf Ihre Antwort") \
	X(T_DIGEST_REQUEST_INTRO, "These were asked for and wait for you to approve or decline:", "Um diese wurde gebeten; sie warten darauf, dass Sie genehmigen oder ablehnen:") \
	X(T_DIGEST_REQUEST_ALL, "All of them:", "Alle:") \
	X(T_ADMIN_DIGEST, "Summary for administrators: what is held for whom", "Zusammenfassung für Administratoren: was für wen zurückgehalten wird") \
	X(T_REQUEST_DIGEST, "Summary for administrators: what waits for an answer", "Zusammenfassung für Administratoren: was auf Antwort wartet") \
	X(T_ADMIN_MAIL, "Administrators' addresses for these, with commas", "Adressen der Administratoren dafür, mit Kommas") \
	/* settings */ \
	X(T_SETTINGS, "Settings", "Einstellungen") \
	X(T_SETTINGS_OF, "Settings of", "Einstellungen von") \
	X(T_SETTINGS_WHOSE, "Settings of: an address, a domain, or nothing for all of you", "Einstellungen von: einer Adresse, einer Domain, oder nichts für alle") \
	X(T_SETTINGS_ALL, "the whole organisation", "die ganze Organisation") \
	X(T_SETTINGS_NEW_ONLY, "What you change here holds for mail that comes from now on.", "Was Sie hier ändern, gilt für Mail, die ab jetzt kommt.") \
	X(T_THRESHOLDS, "How strict the filter is", "Wie streng der Filter ist") \
	X(T_THRESHOLDS_HOW, "Each mail gets points for what looks like spam in it: the more points, the more it looks like spam. Lower numbers are stricter, \"off\" never does it; leave a field empty to go with what is set for you.", \
	  "Jede Mail bekommt Punkte für das, was darin nach Spam aussieht: je mehr Punkte, desto mehr. Kleinere Zahlen sind strenger, \"off\" tut es nie; lassen Sie ein Feld leer, um zu übernehmen, was für Sie eingestellt ist.") \
	X(T_LEVEL_DEFAULT, "set by your provider", "eingestellt von Ihrem Anbieter") \
	X(T_LEVEL_TIER, "set by your tariff", "eingestellt durch Ihren Tarif") \
	X(T_LEVEL_CUSTOMER, "set for the whole organisation", "eingestellt für die ganze Organisation") \
	X(T_LEVEL_DOMAIN, "set for the domain", "eingestellt für die Domain") \
	X(T_LEVEL_MAILBOX, "set for this mailbox", "eingestellt für dieses Postfach") \
	X(T_UNTIL, "until", "bis") \
	X(T_ENDED, "ended", "endete") \
	X(T_SENDER_BLOCKED, "From now on mail from this sender is not delivered to you. You can change that in the", \
	  "Mail von diesem Absender wird Ihnen von nun an nicht zugestellt. Ändern können Sie das in den") \
	X(T_SENDER_ALLOWED, "From now on mail from this sender is always delivered. You can change that in the", \
	  "Mail von diesem Absender wird von nun an immer zugestellt. Ändern können Sie das in den") \
	X(T_TAG_FROM, "Mark as spam from", "Als Spam markieren ab") \
	X(T_HOLD_FROM, "Hold back from", "Zurückhalten ab") \
	X(T_DISCARD_FROM, "Drop from", "Verwerfen ab") \
	X(T_IN_FORCE, "in force:", "in Kraft:") \
	X(T_SAVE, "Save", "Speichern") \
	X(T_SAVED, "Saved, and in force.", "Gespeichert und in Kraft.") \
	X(T_NOT_SAVED, "Not saved", "Nicht gespeichert") \
	X(T_ALLOW_LIST, "Always deliver", "Immer zustellen") \
	X(T_ALLOW_HOW, "Mail from these skips the points, never the virus scanner.", "Mail von diesen überspringt die Punkte, nie den Virenscanner.") \
	X(T_BLOCK_LIST, "Never deliver", "Nie zustellen") \
	X(T_BLOCK_HOW, "Mail from these is held or refused.", "Mail von diesen wird zurückgehalten oder abgewiesen.") \
	X(T_LIST_KIND, "What is compared", "Was verglichen wird") \
	X(T_LIST_ENTRY, "Entry", "Eintrag") \
	X(T_LIST_FROM, "sender address", "Absenderadresse") \
	X(T_LIST_DOMAIN, "sender's domain", "Domain des Absenders") \
	X(T_LIST_DKIM, "signed by (DKIM)", "signiert von (DKIM)") \
	X(T_LIST_LIST_ID, "mailing list (List-Id)", "Mailingliste (List-Id)") \
	X(T_ADD, "Add", "Hinzufügen") \
	X(T_REMOVE, "Remove", "Entfernen") \
	X(T_DIGEST_SCHEDULE, "How often:", "Wie oft:") \
	X(T_DIGEST_YOURS, "Your administrator has set when they come. You can do without.", "Ihr Administrator hat festgelegt, wann sie kommen. Sie können darauf verzichten.") \
	X(T_DIGEST_ON, "Send them to me again", "Wieder an mich schicken") \
	X(T_DIGEST_OFF, "Send me none", "Keine an mich schicken") \
	X(T_DIGEST_HOUR, "From this hour on (0 to 23)", "Ab dieser Stunde (0 bis 23)") \
	X(T_DIGEST_LANGUAGE, "Language of the mails", "Sprache der Mails") \
	X(T_BRAND, "Name shown on pages and mails", "Name auf Seiten und in Mails") \
	X(T_ADMIN_READS, "May administrators read the text of held mail?", "Dürfen Administratoren den Text zurückgehaltener Mail lesen?") \
	X(T_ALLOW_SENDER, "Always allow this sender", "Diesen Absender immer zulassen") \
	X(T_BLOCK_SENDER, "Block this sender", "Diesen Absender sperren") \
	X(T_OFF, "off", "aus") \
	X(T_HOURLY, "every hour", "jede Stunde") \
	X(T_DAILY, "every day", "jeden Tag") \
	X(T_WEEKLY, "every week", "jede Woche") \
	X(T_YES, "yes", "ja") \
	X(T_NO, "no", "nein") \
	X(T_ENGLISH, "English", "Englisch") \
	X(T_GERMAN, "German", "Deutsch") \
	/* statistics */ \
	X(T_STATISTICS, "Statistics", "Statistik") \
	X(T_CHART_HELD, "Held mail in the last 30 days", "Zurückgehaltene Mail der letzten 30 Tage") \
	X(T_AS_TABLE, "As a table", "Als Tabelle") \
	X(T_DAY, "Day", "Tag") \
	X(T_THIS_NODE, "This node since its start, by recipient", "Dieser Knoten seit dem Start, nach Empfängern") \
	X(T_BY_REPUTATION, "refused by reputation, before any content", "nach Ruf abgewiesen, vor jedem Inhalt") \
	X(T_REJECTED, "refused by content", "nach Inhalt abgewiesen") \
	X(T_DISCARDED, "dropped", "verworfen") \
	X(T_TAGGED, "delivered, marked", "markiert zugestellt") \
	X(T_DELIVERED_CLEAN, "delivered clean", "sauber zugestellt") \
	X(T_RULES_RELEASED, "Rules behind released mail", "Regeln hinter zugestellter Mail") \
	X(T_RULES_RELEASED_HOW, "What hit most often in mail that people had delivered after all: rules worth a second look.", \
	  "Was am häufigsten in Mail traf, die Leute doch zustellen ließen: Regeln, die einen zweiten Blick verdienen.") \
	X(T_BY_CUSTOMER, "Held mail by customer", "Zurückgehaltene Mail nach Kunden") \
	/* support */ \
	X(T_SUPPORT, "Where is my mail?", "Wo ist meine Mail?") \
	X(T_SUPPORT_HOW, "Sender, recipient, both, queue id, Message-ID, or the reference from a bounce", "Absender, Empfänger, beide, Queue-ID, Message-ID oder die Referenz aus einer Fehlermeldung") \
	X(T_FIND, "Find", "Suchen") \
	X(T_NO_TRACE, "Nothing is known of that in the last 14 days.", "Davon ist in den letzten 14 Tagen nichts bekannt.") \
	X(T_OUT_DELIVER, "delivered to the mail server", "an den Mailserver übergeben") \
	X(T_OUT_TAG, "delivered, marked as spam", "als Spam markiert übergeben") \
	X(T_OUT_QUARANTINE, "held in the quarantine", "in der Quarantäne zurückgehalten") \
	X(T_OUT_DISCARD, "dropped by the recipient's policy", "nach der Richtlinie des Empfängers verworfen") \
	X(T_OUT_REJECT, "refused, the sender was told", "abgewiesen, der Absender weiß es") \
	X(T_OUT_DEFER, "put off, the sender tries again", "aufgeschoben, der Absender versucht es wieder") \
	X(T_WANTED, "his policy wanted:", "seine Richtlinie wollte:") \
	X(T_SUBJECT, "Subject", "Betreff") \
	X(T_BEFORE_RELAY, "Before the relay", "Vor dem Relay") \
	X(T_REFERENCE, "Reference", "Referenz") \
	X(T_ANSWERED, "Answered", "Geantwortet") \
	X(T_SCORE, "Score", "Punkte") \
	X(T_WHY_SHORT, "Because", "Weil") \
	X(T_HELD_COPY, "Held copy", "Zurückgehaltene Kopie") \
	X(T_OPEN, "Open", "Öffnen") \
	X(T_AT_NODE, "at", "auf") \
	X(T_AT_RCPT, "refused before any content, by who sent it or for whom", "vor jedem Inhalt abgewiesen, nach Absender oder Empfänger") \
	/* audit */ \
	X(T_AUDIT, "Audit log", "Protokoll") \
	X(T_AUDIT_HOW, "What was done here, newest first. Each entry carries the hash of the one before it: nothing can be changed or taken out unseen.", \
	  "Was hier getan wurde, das Neueste zuerst. Jeder Eintrag trägt den Hash des vorigen: Nichts lässt sich unbemerkt ändern oder entfernen.") \
	X(T_WHEN, "When", "Wann") \
	X(T_WHO, "Who", "Wer") \
	X(T_WHAT, "What", "Was") \
	X(T_HASH, "Hash", "Hash") \
	X(T_WHOM, "On what", "Woran") \
	X(T_DAMAGED, "The stored mail is damaged and cannot be delivered. Please tell your provider.", \
	  "Die gespeicherte Mail ist beschädigt und kann nicht zugestellt werden. Bitte sagen Sie es Ihrem Anbieter.")

#endif
