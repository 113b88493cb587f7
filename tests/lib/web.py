"""A small browser: cookies, forms, redirects; no scripts. Enough to walk the review pages as people without JavaScript do."""
import http.client
import http.cookies
import json
import re
import urllib.parse
from html.parser import HTMLParser


class Page:
    def __init__(self, status, headers, body, path, took):
        self.status, self.headers, self.body, self.path, self.took = status, headers, body, path, took

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def links(self):
        return [re.sub("&amp;", "&", x) for x in re.findall(r'(?:href|src|action)="([^"]*)"', self.text)]

    def forms(self):
        p = _Forms()
        p.feed(self.text)
        return p.forms


class _Forms(HTMLParser):
    """[{action, method, fields: [(name, value)], buttons: [(name, value)]}]"""

    def __init__(self):
        super().__init__()
        self.forms, self.select = [], None

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag == "form":
            self.forms.append({"action": a.get("action", ""), "method": a.get("method", "get"), "fields": [], "buttons": []})
        elif self.forms and tag == "input" and "name" in a:
            self.forms[-1]["fields"].append((a["name"], a.get("value", "")))
        elif self.forms and tag == "button":
            self.forms[-1]["buttons"].append((a.get("name"), a.get("value", "")))
        elif self.forms and tag == "select":
            self.select = a.get("name")
        elif self.forms and tag == "option" and self.select and "selected" in a:
            self.forms[-1]["fields"].append((self.select, a.get("value", "")))


class Browser:
    def __init__(self, url, key=None, headers=()):
        self.host = urllib.parse.urlsplit(url).netloc
        self.cookies, self.key, self.headers = {}, key, dict(headers)

    def request(self, method, path, body=None, headers=(), follow=True):
        import time
        c = http.client.HTTPConnection(self.host, timeout=60)
        h = dict(self.headers, **dict(headers))
        if self.cookies:
            h["Cookie"] = "; ".join("%s=%s" % kv for kv in self.cookies.items())
        if self.key:
            h["Authorization"] = "Bearer " + self.key
        began = time.monotonic()
        c.request(method, path, body, h)
        r = c.getresponse()
        page = Page(r.status, r.headers, r.read(), path, time.monotonic() - began)
        c.close()
        for line in r.headers.get_all("Set-Cookie") or []:
            for name, m in http.cookies.SimpleCookie(line).items():
                if m["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = m.value
        if follow and r.status == 303:
            return self.get(r.headers["Location"])
        return page

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, fields, **more):
        body = urllib.parse.urlencode(fields if isinstance(fields, list) else list(fields.items()))
        more["headers"] = dict({"Content-Type": "application/x-www-form-urlencoded"}, **dict(more.get("headers", ())))
        return self.request("POST", path, body, **more)

    def api(self, method, path, data=None):
        headers = {"Content-Type": "application/json"}
        if not self.key and method != "GET":
            headers["X-CSRF-Token"] = self.get("/api/v1/me").json()["csrf"]
        return self.request(method, path, json.dumps(data) if data is not None else None, headers)

    def sign_in(self, name, password, code=""):
        return self.post("/signin", {"name": name, "password": password, "code": code})

    def csrf(self):
        return dict(self.get("/").forms()[0]["fields"])["csrf"]
