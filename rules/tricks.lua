-- tricks.lua - structure that no honest program makes, whatever language the mail is in; and what two weak signs say together.

rule { symbol = "TRICK_ZERO_WIDTH", score = 0.1, group = "structure", description = "Words are broken by characters of no width",
  rawbody = [[[a-z](?:\xe2\x80[\x8b-\x8d]|\xe2\x81\xa0|\xef\xbb\xbf|\xcd\x8f)[a-z]|&(?:zwnj|zwj|shy|#8203|#847);\w|\w&(?:zwnj|zwj|#8203);]],
  tests = { { html = "<p>Pay\xe2\x80\x8bPal</p>", hit = true }, { html = "<p>PayPal</p>", hit = false } } }
rule { symbol = "TRICK_SOFT_HYPHEN_SUBJECT", score = 0.1, group = "structure", description = "The subject is broken by invisible characters",
  header = "Subject", matches = [[\xc2\xad|\xe2\x80[\x8b-\x8f]|\xe2\x81\xa0|\xef\xbb\xbf]],
  tests = { { headers = { Subject = "A\xe2\x80\x8bmazon" }, hit = true }, { headers = { Subject = "Amazon" }, hit = false } } }
rule { symbol = "TRICK_FONT_SIZE_ZERO", score = 0.1, group = "structure", description = "Text of no size",
  rawbody = [[font-size:\s*0(?:\.\d+)?(?:px|pt|em|%)?\s*[;"'!]|\bfont-size:\s*1px]],
  tests = { { html = "<span style=\"font-size:0px\">x</span>", hit = true }, { html = "<span style=\"font-size:10px\">x</span>", hit = false } } }
rule { symbol = "TRICK_WHITE_ON_WHITE", score = 0.1, group = "structure", description = "White text",
  rawbody = [[<[^>]{0,200}(?<![-\w])color\s*[:=]\s*["']?(?:\#fff(?:fff)?\b|white\b|\#fefefe|\#fdfdfd)]],
  tests = { { html = "<font color=\"#FFFFFF\">x</font>", hit = true }, { html = "<font color=\"#000000\">x</font>", hit = false } } }
rule { symbol = "TRICK_HTML_COMMENT_IN_WORD", score = 0.1, group = "structure", description = "Words are cut by comments or tags that mean nothing",
  rawbody = [[[a-z]<!--[^>]{0,40}-->[a-z]|[a-z]</?(?:[bcdf-hj-np-z]{5,}|x\d+|zz\w+)>[a-z](?=.)]],
  tests = { { html = "Via<!-- x -->gra", hit = true }, { html = "Via <!-- x --> gra", hit = false } } }
rule { symbol = "TRICK_SCRIPT", score = 0.1, group = "structure", description = "A script in a mail",
  rawbody = [[<script[\s>]|\bon(?:load|error|mouseover|click)\s*=\s*["'][^"']{5}|javascript:]],
  tests = { { html = "<script>x()</script>", hit = true }, { html = "<p>scripts</p>", hit = false } } }
rule { symbol = "TRICK_FORM_PASSWORD", score = 0.1, group = "phishing", description = "A form that asks for a password",
  rawbody = [[<input[^>]{0,200}type\s*=\s*["']?password]],
  tests = { { html = "<form><input type=\"password\"></form>", hit = true }, { html = "<input type=text>", hit = false } } }
rule { symbol = "TRICK_FORM_ABROAD", score = 0.1, group = "phishing", description = "A form that is sent to some host",
  rawbody = [[<form[^>]{0,300}action\s*=\s*["']?https?://]],
  tests = { { html = "<form action=\"http://evil.example/x\">", hit = true }, { html = "<form action=\"/x\">", hit = false } } }
rule { symbol = "TRICK_META_REFRESH", score = 1.3, group = "phishing", description = "A page that goes elsewhere by itself",
  rawbody = [[<meta[^>]{0,80}http-equiv\s*=\s*["']?refresh]],
  tests = { { html = "<meta http-equiv=\"refresh\" content=\"0;url=http://x.example\">", hit = true }, { html = "<meta name=x>", hit = false } } }
rule { symbol = "TRICK_BASE_HREF", score = 0.1, group = "structure", description = "All links hang on a base address",
  rawbody = [[<base[^>]{0,80}href]], tests = { { html = "<base href=\"http://evil.example/\">", hit = true }, { html = "<b>href</b>", hit = false } } }
rule { symbol = "TRICK_IFRAME", score = 0.1, group = "structure", description = "A frame inside a mail", rawbody = [[<(?:iframe|object|embed|applet)(?:\s|>)]],
  tests = { { html = "<iframe src=\"http://x.example\"></iframe>", hit = true }, { html = "<i>frame</i>", hit = false } } }
rule { symbol = "TRICK_TRACKING_PIXEL", score = 0.1, group = "bulk", description = "A picture of one pixel",
  rawbody = [[<img[^>]{0,400}(?:width\s*=\s*["']?[01]["'\s][^>]{0,200}height\s*=\s*["']?[01]\b|height\s*=\s*["']?[01]["'\s][^>]{0,200}width\s*=\s*["']?[01]\b)]],
  tests = { { html = "<img src=\"http://t.example/1\" width=\"1\" height=\"1\">", hit = true }, { html = "<img width=\"100\" height=\"80\">", hit = false } } }
rule { symbol = "TRICK_LINKED_PICTURE", score = 0.1, group = "structure", description = "The picture is the link",
  rawbody = [[<a\s[^>]{1,400}>\s*(?:<[^>a]{1,200}>\s*){0,3}<img\s]],
  tests = { { html = "<a href=\"http://x.example\"><img src=\"http://y.example/i.png\"></a>", hit = true }, { html = "<a href=x>text</a>", hit = false } } }
rule { symbol = "TRICK_DATA_IMAGE", score = 0.1, group = "structure", description = "Pictures inside the text itself", rawbody = [[src\s*=\s*["']?data:image/]],
  tests = { { html = "<img src=\"data:image/png;base64,AAAA\">", hit = true }, { html = "<img src=\"cid:1\">", hit = false } } }
rule { symbol = "TRICK_ENTITIES", score = 0.1, group = "structure", description = "Plain letters written as numbers", rawbody = [[(?:&\#x?[0-9a-f]{2,3};){6}]],
  tests = { { html = "&#80;&#97;&#121;&#80;&#97;&#108;", hit = true }, { html = "&amp; &lt;", hit = false } } }
rule { symbol = "TRICK_MANY_BREAKS", score = 0.1, group = "structure", description = "A long empty stretch", rawbody = [[(?:<br\s*/?>\s*){12}|(?:\r?\n[ \t]*){25}]],
  tests = { { html = ("<br>"):rep(14), hit = true }, { html = "<br><br>", hit = false } } }
rule { symbol = "TRICK_HIDDEN_DIV", score = 0.1, group = "structure", description = "A block that is not shown", rawbody = [[(?:display\s*:\s*none|visibility\s*:\s*hidden|max-height\s*:\s*0)]],
  tests = { { html = "<div style=\"display:none\">x</div>", hit = true }, { html = "<div>x</div>", hit = false } } }
rule { symbol = "TRICK_MSO_ONLY", score = 0.1, group = "bulk", description = "Made for Outlook by a template", rawbody = [[<!--\[if (?:gte |lt |!)?mso|xmlns:v="urn:schemas-microsoft-com:vml"]],
  tests = { { html = "<!--[if mso]><table><![endif]-->", hit = true }, { html = "<table>", hit = false } } }
rule { symbol = "TRICK_GOOGLE_AMP", score = 0.1, group = "links", description = "Hidden behind a redirector of a big name",
  uri = [[^https?://(?:www\.)?(?:google\.[a-z.]{2,6}/(?:amp|url)|bing\.com/ck/|l\.facebook\.com/l\.php|t\.co/|lnkd\.in/|linkedin\.com/(?:slink|redir)|youtube\.com/redirect|[a-z0-9-]+\.safelinks\.protection|r\.g-omedia|mandrillapp\.com/track|click\.)]],
  tests = { { text = "http://www.google.com/url?q=http://evil.example", hit = true }, { text = "http://www.google.com/search", hit = false } } }
rule { symbol = "TRICK_CLOUD_PAGE", score = 0.1, group = "links", description = "A page on rented cloud storage or a free builder",
  uri = [[^https?://[^/]*(?:\.(?:s3[.-][a-z0-9-]*\.?amazonaws\.com|web\.core\.windows\.net|blob\.core\.windows\.net|azurewebsites\.net|firebaseapp\.com|web\.app|pages\.dev|workers\.dev|r2\.dev|herokuapp\.com|netlify\.app|vercel\.app|glitch\.me|weebly\.com|wixsite\.com|blogspot\.[a-z.]+|ipfs\.[a-z.]+|repl\.co|square\.site|godaddysites\.com|cloudfront\.net)|storage\.googleapis\.com|sites\.google\.com|docs\.google\.com/(?:forms|presentation)|forms\.office\.com|firebasestorage\.googleapis\.com|telegra\.ph)]],
  tests = { { text = "https://bad.web.app/login", hit = true }, { text = "https://www.example.com/", hit = false } } }
rule { symbol = "TRICK_URL_LONG_QUERY", score = 0.1, group = "links", description = "A link with a very long tail", uri = [[^https?://[^/]{4,80}/[^\s]{160}]],
  tests = { { text = "http://x.example/" .. ("a1"):rep(100), hit = true }, { text = "http://x.example/a", hit = false } } }
rule { symbol = "TRICK_URL_BASE64", score = 0.1, group = "links", description = "A link that carries something encoded", uri = [[[/?=\#](?:[A-Za-z0-9+_-]{48,})={0,2}(?:[&/.]|$)]],
  tests = { { text = "http://x.example/?q=" .. ("aGVsbG8x"):rep(8), hit = true }, { text = "http://x.example/index.html", hit = false } } }
rule { symbol = "TRICK_URL_PHISH_WORDS", score = 0.1, group = "links", description = "A host name made of words of trust",
  uri = [[^https?://[^/]*(?:secure|verif|signin|log-?in|account|update|confirm|support|wallet|bank|service|alert|billing)[^/]*-[^/]*\.[a-z]{2,}|^https?://[^/]*-[^/]*(?:secure|verif|signin|login|account|update|confirm|support|wallet|billing)[^/]*\.[a-z]{2,}]],
  tests = { { text = "http://secure-login.evil.example/", hit = true }, { text = "http://www.example.com/account", hit = false } } }
rule { symbol = "TRICK_URL_EXECUTABLE", score = 0.1, group = "malware", description = "A link to a program or archive", uri = [[^https?://[^?\s]+\.(?:exe|scr|zip|rar|7z|js|vbs|jar|iso|img|msi|apk|hta|lnk|cab)(?:\?|$)]],
  tests = { { text = "http://evil.example/invoice.exe", hit = true }, { text = "http://www.example.com/a.html", hit = false } } }
rule { symbol = "TRICK_URL_WP_PATH", score = 0.1, group = "links", description = "A page left in somebody's blog software", uri = [[^https?://[^/]+/(?:[^?\s]*/)?(?:wp-(?:content|includes|admin)|\.well-known|cgi-bin|components/com_|images/stories)/]],
  tests = { { text = "http://victim.example/wp-content/plugins/x/login.php", hit = true }, { text = "http://victim.example/blog/", hit = false } } }
rule { symbol = "TRICK_URL_IP_OR_NUMBER", score = 0.7, group = "links", description = "A host that is a number", uri = [[^https?://(?:\d{8,10}|0x[0-9a-f]{6,}|\d{1,3}(?:\.\d{1,3}){3})(?:[:/]|$)]],
  tests = { { text = "http://192.0.2.9/x", hit = true }, { text = "http://www.example.com/1", hit = false } } }
rule { symbol = "TRICK_URL_MANY_HYPHENS", score = 0.1, group = "links", description = "A host with many hyphens", uri = [[^https?://[^/]*-[^/]*-[^/]*-[^/]*(?:\.|/)]],
  tests = { { text = "http://get-your-gift-now.example/", hit = true }, { text = "http://a-b.example/", hit = false } } }
rule { symbol = "TRICK_MAILTO_LINK_FREEMAIL", score = 0.1, group = "links", description = "The answer goes to a free mailbox by a link", rawbody = [[mailto:[^"'>\s@]{2,64}@(?:gmail|yahoo|hotmail|outlook|aol|live|protonmail|yandex)\.]],
  tests = { { html = "<a href=\"mailto:xyz@gmail.com\">r</a>", hit = true }, { html = "<a href=\"mailto:x@firm.example\">r</a>", hit = false } } }
rule { symbol = "TRICK_MAILTO_UNSUBSCRIBE", score = 0.1, group = "bulk", description = "Unsubscribe by writing to somebody", rawbody = [[mailto:[^"'>\s]{3,80}\?subject=(?:un|remove|report|block|stop)]],
  tests = { { html = "<a href=\"mailto:x@y.example?subject=unsubscribe\">u</a>", hit = true }, { html = "<a href=\"mailto:x@y.example\">u</a>", hit = false } } }

-- headers
local function head(symbol, score, description, name, pattern, hit, miss)
  return rule { symbol = symbol, score = score, group = "headers", description = description, header = name, matches = pattern,
    tests = { { headers = { [name] = hit }, hit = true }, { headers = { [name] = miss }, hit = false } } }
end

head("HEAD_PHP_SCRIPT", 0.1, "Sent by a script on a web server", "X-PHP-Originating-Script", [[.]], "0:mail.php", "")
head("HEAD_RETURN_PATH_APACHE", 0.1, "The envelope is a web server's own", "Return-Path", [[^<?(?:www-data|apache|nobody|wwwrun|root|httpd|daemon|user)@]], "<www-data@h.example>", "<a@b.example>")
head("HEAD_FROM_NOREPLY_RANDOM", 0.1, "From nobody at a random address", "From", [[<(?:no-?reply|donotreply|info|admin|support|service|contact|notification|alert|security)[\w.-]{0,6}\d{2,}[\w.-]*@]], "X <noreply3947@x.example>", "X <noreply@x.example>")
head("HEAD_FROM_LOCAL_LONG", 0.1, "The author's address is a long random word", "From", [[<[a-z0-9._-]{0,10}(?=[a-z0-9]{18,}@)(?=[a-z]*\d+[a-z]+\d)[a-z0-9]+@]], "X <a8f93kd02ka93kd02kd9@x.example>", "X <ann@x.example>")
head("HEAD_FROM_ONMICROSOFT", 0.1, "From a tenant that nobody set up", "From", [[@[a-z0-9-]+\.onmicrosoft\.com]], "X <a@b.onmicrosoft.com>", "X <a@microsoft.com>")
head("HEAD_FROM_TLD_ODD", 1.5, "From a top-level domain that is cheap", "From", [[@[^>\s]+\.(?:xyz|top|click|icu|buzz|shop|live|club|online|site|space|store|fun|monster|cfd|sbs|bond|cyou|quest|rest|live|best|gq|ml|cf|tk|ga|pw|work|life|ru|cn|su)>?\s*$]], "X <a@b.xyz>", "X <a@b.example>")
head("HEAD_FROM_DECORATED", 0.1, "The author's name is decorated", "From:name", [[\xe2(?:\x98|\x9a|\x9c)|\xf0\x9f|^[\s*!#=_.-]{2,}|[!]{2,}]], "!!Winner!! <a@b.example>", "Ann <a@b.example>")
head("HEAD_FROM_NAME_SERVICE", 0.1, "The author's name is a service or department", "From:name", [[\b(?:support|service|security|team|admin(?:istrator)?|helpdesk|help ?desk|notification|alert|billing|customer|account|no-?reply|webmail|it department|payroll|hr)\b]], "Account Security <a@b.example>", "Ann <a@b.example>")
head("HEAD_FROM_NAME_MONEY", 0.2, "The author's name is an offer", "From:name", [[\b(?:free|win(?:ner)?|reward|prize|offer|deal|discount|loan|cash|gift|bonus|approved?|casino|pharmacy|viagra|congratulations)s?\b]], "Free Gift <a@b.example>", "Ann <a@b.example>")
head("HEAD_TO_UNDISCLOSED", 0.7, "Nobody is named", "To", [[undisclosed|^\s*(?:recipients?|you|customer|user|undisclosed)\b|^<?>?$]], "undisclosed-recipients:;", "u@x.example")
head("HEAD_TO_SELF_SERVICE", 0.1, "To an address that stands for nobody", "To", [[^<?(?:you|me|user|users|customer|member|friend|everyone|all|list|info|recipients?)@]], "<users@x.example>", "<ann@x.example>")
rule { symbol = "HEAD_MANY_RECIPIENTS", score = 0.1, group = "headers", description = "Ten and more named at once",
  header = "ToCc", matches = [[(?:[^,@]{1,120}@[^,]{4,120},\s*){9}]],
  tests = { { headers = { To = ("ann@b.example, "):rep(10) .. "x@y.example" }, hit = true }, { headers = { To = "a@b.example" }, hit = false } } }
head("HEAD_X_MAILER_ODD", 1, "A mailer made of nothing", "X-Mailer", [[^[\w.]{1,12}$(?<!Thunderbird)|^(?:PHPMailer|SMTP|Mailer|[a-z0-9]{12,}|Microsoft Outlook Express 5\.50|The Bat! \(v1|Internet Mail Service)|\bbulk|\bleaf\b|massmail|MIME-tools]], "PHPMailer 6.0", "Apple Mail (2.3654) of macOS")
head("HEAD_REPLY_TO_NUMBERED", 1.8, "Answers go to a numbered mailbox", "Reply-To", [[[a-z]+\d{3,}@]], "john4711@x.example", "john@x.example")
head("HEAD_MSGID_LOCALHOST", 0.3, "A Message-ID from no host", "Message-ID", [[@(?:localhost|localdomain|127\.|\[?192\.168|domain\.com|\w+\.local|DESKTOP-|WIN-|\w{1,15})>?$]], "<1@localhost>", "<1@mx.example.com>")
head("HEAD_MSGID_UUID", 0.1, "A Message-ID that is a bare UUID", "Message-ID", [[^<[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}@]], "<01234567-89ab-cdef-0123-456789abcdef@x.example>", "<1@x.example>")
rule { symbol = "HEAD_RELAY_NAMELESS", score = 1.3, group = "headers", description = "The newest relay has no name of its own",
  header = "X-Spam-Relays-External", matches = [[^\[ ip=[\d.]+ rdns= ]],
  tests = { { headers = { Received = "from x.example ([192.0.2.9]) by mx.example with ESMTP id 1; Mon, 1 Jan 2024 10:00:00 +0000" }, hit = true },
    { headers = { Received = "from x.example (x.example [192.0.2.9]) by mx.example with ESMTP id 1; Mon, 1 Jan 2024 10:00:00 +0000" }, hit = false } } }
head("HEAD_DATE_NO_ZONE", 0.1, "A Date without a zone, or in local words", "Date", [[\d\d:\d\d(?::\d\d)?\s*$|\b(?:am|pm)\b|[+-]\d{1,3}$]], "Mon, 1 Jan 2024 10:00:00", "Mon, 1 Jan 2024 10:00:00 +0000")
head("HEAD_SUBJECT_BRACKET_NUMBER", 0.1, "A case or ticket number in the subject", "Subject", [[(?:\#|ref(?:erence)?|case|ticket|order|invoice|id)[ :#-]{0,3}[A-Z0-9-]*\d{4,}]], "Case #847261", "Case study")
head("HEAD_SUBJECT_RE_FAKE", 0.1, "Answers that answer nothing", "Subject", [[^(?:re|fwd?|aw)\s*[:_-]\s*(?:your|invoice|payment|order|urgent|re|order|confirm|delivery|account)\b]], "Re: your order", "Re: meeting")
head("HEAD_SUBJECT_ACTION", 0.1, "Action required", "Subject", [[\b(?:action|attention|verification|confirmation|response|immediate) (?:is )?(?:required|needed|necessary)\b|\b(?:important|final|last|urgent)[: ] ?(?:notice|reminder|warning|update|message|notification)\b]], "Action required", "no action")
head("HEAD_SUBJECT_PT", 0.1, "Portuguese alarm or bait", "Subject", [[\b(?:aviso|pend\S{1,3}ncia|bloqueio|fatura|boleto|pontos|protocolo|comprovante|cpf|cadastro|resgat\w+|vencimento|urgente|parab\S{1,2}ns)\b]], "Aviso de bloqueio", "A visit")
head("HEAD_SUBJECT_DE", 0.1, "German alarm or bait", "Subject", [[\b(?:konto|wichtig|gesperrt|best\S{1,2}tig\w+|rechnung|gutschein|gewinn\w*|sicherheit\w*|paket|sendung|zahlung\w*|aktualisier\w+|herzlichen)\b]], "Wichtig: Ihr Konto", "Contact")
head("HEAD_SUBJECT_FR", 0.1, "French alarm or bait", "Subject", [[\b(?:votre|compte|colis|livraison|facture|rembourse\w+|suspendu|confirm(?:ez|ation)|dernier rappel|gagn\S{1,3}|f\S{1,2}licitations)\b]], "Votre colis", "volt")
head("HEAD_SUBJECT_NUMBERS_TAIL", 0.1, "A number or code at the subject's end", "Subject", [[\s[#\[(]?(?=\w*\d)[A-Z0-9]{6,20}[\])]?$]], "Your prize 8XK29QZ1", "Your prize")
head("HEAD_SUBJECT_EMOJI_ALARM", 0.1, "Marks of alarm or joy in the subject", "Subject", [[\xe2\x9a\xa0|\xf0\x9f(?:\x8e[\x81\x89\x8a]|\x92[\xb0-\xb5]|\x94[\x92\x94\xa5]|\x9a[\xa8\xab]|\x93[\xa2\xa6])|\xe2\x9c[\x85\x94]|\xe2\x9d[\x97\x8c]|\xe2\xad\x90]], "\xf0\x9f\x8e\x81 for you", "for you")
head("HEAD_SUBJECT_QUESTION_SHORT", 0.1, "A short question", "Subject", [[^[^:]{3,28}\?$]], "Are you there?", "Re: are you there")
head("HEAD_LIST_UNSUBSCRIBE_ONLY_MAILTO", 0.1, "Unsubscribe by mail to a long address", "List-Unsubscribe", [[^\s*<mailto:[^>]{60,}>\s*$]], "<mailto:" .. ("u"):rep(70) .. "@x.example>", "<https://x.example/u>")

-- attachments and MIME
rule { symbol = "FILE_HTML_LURE", score = 0.1, group = "malware", description = "An HTML file with a name of business", file_name = [[(?:invoice|payment|remit|swift|fax|voice|doc|statement|order|receipt|secure|bill|po)[^\n]{0,60}\.s?html?$]],
  tests = { { headers = { Subject = "x" }, attachments = { { name = "Invoice_2291.html", type = "text/html" } }, hit = true }, { headers = { Subject = "x" }, attachments = { { name = "report.pdf" } }, hit = false } } }
rule { symbol = "FILE_PDF_ALONE", score = 0.1, group = "malware", description = "A PDF with a name of business", file_name = [[(?:invoice|payment|receipt|order|statement|doc|renewal|confirmation)[^\n]{0,60}\.pdf$]],
  tests = { { headers = { Subject = "x" }, attachments = { { name = "invoice.pdf", type = "application/pdf" } }, hit = true }, { headers = { Subject = "x" }, attachments = { { name = "a.txt" } }, hit = false } } }
rule { symbol = "FILE_PICTURE_NAMED_ODD", score = 0.1, group = "structure", description = "A picture with a random name", file_name = [[^(?=[^\n]*\d)[a-z0-9]{10,}\.(?:gif|jpe?g|png)$]],
  tests = { { headers = { Subject = "x" }, attachments = { { name = "a8d7f6a5d4f3.gif", type = "image/gif" } }, hit = true }, { headers = { Subject = "x" }, attachments = { { name = "photo.jpg", type = "image/jpeg" } }, hit = false } } }
rule { symbol = "FILE_CALENDAR", score = 0.1, group = "phishing", description = "An invitation", attachment = [[^text/calendar|\.ics$]],
  tests = { { headers = { Subject = "x" }, attachments = { { name = "invite.ics", type = "text/calendar" } }, hit = true }, { headers = { Subject = "x" }, attachments = { { name = "a.txt" } }, hit = false } } }
rule { symbol = "MIME_BOUNDARY_ODD", score = 0.1, group = "structure", description = "A boundary that no mail program writes", mime = "Content-Type", matches = [[boundary\s*=\s*"?(?:-{20,}|[A-Za-z]{1,8}_?\d{1,3}"?\s*$|b1_[0-9a-f]{20,}|=_[0-9a-f]{32}|--boundary|_{4,}[a-z]+)]],
  tests = { { raw = "Content-Type: multipart/mixed; boundary=\"b1_0123456789abcdef0123456789abcdef\"\n\nx\n", hit = true }, { headers = { Subject = "x" }, text = "x", hit = false } } }
rule { symbol = "MIME_WINDOWS_CHARSET", score = 0.7, group = "structure", description = "A Windows charset", mime = "Content-Type", matches = [[charset\s*=\s*"?windows-125\d]],
  tests = { { raw = "Content-Type: text/plain; charset=\"windows-1251\"\n\nx\n", hit = true }, { headers = { Subject = "x" }, text = "x", hit = false } } }
rule { symbol = "MIME_SUBJECT_ENCODED_ASCII", score = 0.1, group = "structure", description = "A subject encoded without need", header = "Subject:raw", matches = [[^\s*=\?(?:utf-8|us-ascii|iso-8859-1|windows-1252)\?b\?[A-Za-z0-9+/=]+\?=]],
  tests = { { headers = { Subject = "=?utf-8?B?SGVsbG8=?=" }, hit = true }, { headers = { Subject = "Hello" }, hit = false } } }
rule { symbol = "MIME_FROM_ENCODED", score = 0.1, group = "structure", description = "An author's name in base64", header = "From:raw", matches = [[=\?[\w-]+\?b\?[A-Za-z0-9+/=]{8,}\?=]],
  tests = { { headers = { From = "=?utf-8?B?UGF5UGFs?= <a@b.example>" }, hit = true }, { headers = { From = "PayPal <a@b.example>" }, hit = false } } }

-- two weak signs together
local function both(symbol, score, description, meta)
  return rule { symbol = symbol, score = score, group = "together", description = description, meta = meta,
    tests = { { text = "nothing of it", hit = false } } }
end
both("TOGETHER_ALARM_AND_DEADLINE", 0.1, "Something is wrong, and you have hours", "(ACCOUNT_SUSPENDED || ACCOUNT_UNUSUAL || ACCOUNT_VERIFY || ACCOUNT_STORAGE_FULL) && (ACCOUNT_WITHIN_HOURS || ACCOUNT_LOGIN_TO_AVOID || HEAD_SUBJECT_ACTION)")
both("TOGETHER_SERVICE_AND_CLOUD", 0.1, "A service writes, its page is rented", "(HEAD_FROM_NAME_SERVICE || BRAND_NAME_FOREIGN) && (TRICK_CLOUD_PAGE || TRICK_GOOGLE_AMP || LINK_FREE_HOSTING || LINK_SHORTENER)")
both("TOGETHER_FEE_STORY", 0.1, "Three parts of the advance-fee story", "(FEE_NEXT_OF_KIN + FEE_LATE_HUSBAND + FEE_SUM_OF_MONEY + FEE_MILLION_DOLLARS + FEE_CONFIDENTIAL_DEAL + FEE_FOREIGN_PARTNER + FEE_BANK_OF_AFRICA + FEE_BARRISTER + FEE_YOUR_ASSISTANCE + FEE_BENEFICIARY + FEE_TRANSFER_FUNDS + FEE_COMPENSATION_FUND) >= 3")
both("TOGETHER_BULK_FOOT", 0.1, "Bulk by its words, and not by its header", "(BULK_TO_BE_REMOVED + BULK_NO_LONGER_WISH + BULK_OPTED_IN + BULK_SUBJECT_REMOVE + BULK_NOT_SPAM) >= 2 && BULK_UNSUBSCRIBE_WITHOUT_HEADER")
both("TOGETHER_OFFER", 0.1, "Four ways to sell at once", "(BULK_ACT_NOW + BULK_FREE_TRIAL + BULK_NO_OBLIGATION + BULK_SPECIAL_OFFER + BULK_GUARANTEED + BULK_SAVE_PERCENT + BULK_TOLL_FREE_CALL + FEE_MONEY_BACK + FEE_EARN_PER_DAY + FEE_WORK_FROM_HOME) >= 4")
both("TOGETHER_HIDDEN_AND_PICTURE", 0.1, "Hidden text and a linked picture", "TRICK_LINKED_PICTURE && (HTML_HIDDEN_TEXT || TRICK_FONT_SIZE_ZERO || TRICK_HIDDEN_DIV || TRICK_WHITE_ON_WHITE)")
both("TOGETHER_PT_PHISH", 0.1, "Portuguese, alarm and a link", "(ACCOUNT_PT_CONTA + ACCOUNT_PT_CLIQUE + ACCOUNT_PT_BLOQUEIO + ACCOUNT_PT_NF + HEAD_SUBJECT_PT) >= 2")
both("TOGETHER_DE_PHISH", 0.1, "German, alarm and a link", "(ACCOUNT_DE_KONTO + ACCOUNT_DE_KLICKEN + ACCOUNT_DE_GESPERRT + HEAD_SUBJECT_DE) >= 2")
both("TOGETHER_CHEAP_AND_SCRIPTED", 0.1, "A cheap domain and a mail made by a script", "(HEAD_FROM_TLD_ODD || LINK_CHEAP_TLD) && (HEAD_PHP_SCRIPT || HEAD_X_MAILER_ODD || HEAD_MSGID_LOCALHOST || MESSAGE_ID_MISSING)")
