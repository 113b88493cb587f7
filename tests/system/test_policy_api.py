"""Policies by HTTP: idempotent PUT, ETag, scopes; every route fuzzed from its own schema: no 5xx, and nobody sees or changes what
is another customer's."""
import json
import random
import re
import unittest
from urllib.parse import quote

from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port
from tests.lib.web import Browser

PASSWORD = b"correct horse 1\n"


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.pd = Policyd(cls.d, policy=False, review=free_port())
        cls.addClassCleanup(cls.pd.close)
        for c in "shop", "other":
            cls.pd.set("customer:" + c, tag="3")
            cls.pd.set("domain:%s.example" % c, customer=c)
            cls.pd.set("secret-%s@%s.example" % (c, c), tag="2.5")
        cls.pd.set("tier:gold", **{"max.retention_days": "60"})
        cls.who = {}
        for name, *role in (("anna", "--role", "admin", "--customer", "shop"), ("sue", "--role", "support"), ("abe", "--role", "abuse")):
            cls.pd.ctl("user", "add", name, *role, data=PASSWORD)
            cls.who[name] = Browser(cls.pd.review, cls.pd.json("user", "key", name)["key"])

    def call(self, who, method, path, data=None, **headers):
        h = dict({"Content-Type": "application/json"}, **{k.replace("_", "-"): v for k, v in headers.items()})
        return self.who[who].request(method, "/api/v1" + path, json.dumps(data) if data is not None else None, h)


class Api(Base):
    def test_put_is_idempotent_and_etag_guards(self):
        path = "/policies/" + quote("bob@shop.example")
        r = self.call("anna", "PUT", path, {"tag": 2, "subject_tag": "[S] "})
        self.assertEqual((r.status, r.json()["changed"]), (200, True), r.text)
        etag = r.headers["ETag"]
        again = self.call("anna", "PUT", path, {"tag": "2", "subject_tag": "[S] "})
        self.assertEqual((again.status, again.json()["changed"], again.headers["ETag"]), (200, False, etag))
        self.assertEqual(self.call("anna", "GET", path).headers["ETag"], etag)
        self.assertEqual(self.call("anna", "PUT", path, {"tag": 1}, If_Match='"0000000000000000"').status, 412)
        self.assertEqual(self.call("anna", "PUT", path, {"tag": 1}, If_Match=etag).status, 200)
        self.assertEqual(self.call("anna", "DELETE", path, If_Match=etag).status, 412)
        self.assertEqual(self.call("anna", "GET", path).json()["values"], {"tag": "1"})
        r = self.call("anna", "PUT", path, {"tag": 9})
        self.assertEqual((r.status, r.json()["error"]), (422, "tag=9 must be below quarantine=7"))
        self.assertEqual(self.call("sue", "PUT", path, {"tag": 1}).status, 403)
        e = self.call("anna", "GET", path + "/explain").json()
        tag = next(f for f in e["fields"] if f["field"] == "tag")
        self.assertEqual((tag["value"], tag["level"], tag["change"]["who"]), ("1", "mailbox", "anna"))
        self.assertEqual(self.call("anna", "GET", path + "/history").json()["entries"][0]["who"], "anna")
        self.assertEqual(self.call("anna", "DELETE", path).status, 200)
        self.assertFalse(self.call("anna", "GET", path).json()["exists"])

    def test_simulate_and_canary(self):
        path = "/policies/" + quote("customer:shop")
        r = self.call("anna", "POST", path + "/simulate", {"quarantine": 5})
        self.assertEqual((r.status, r.json()["customer"], r.json()["changed"]), (200, "shop", 0), r.text)
        self.assertEqual(self.call("anna", "POST", path + "/simulate", {"quarantine": 1}).status, 422)
        self.assertEqual(self.call("anna", "POST", path + "/simulate", {}).status, 400)
        for other in "/policies/" + quote("customer:other"), "/policies/" + quote("domain:other.example"):
            for query in "", "?customer=shop", "?customer=other":
                self.assertEqual(self.call("anna", "POST", other + "/simulate" + query, {"quarantine": 5}).status, 404, other + query)
            self.assertEqual(self.call("anna", "GET", other + "/canary").status, 404)
        self.assertEqual(self.call("anna", "PUT", path, {"tag": 3, "canary": {"share": 20, "values": {"tag": 2}}}).status, 200)
        r = self.call("anna", "GET", path + "/canary").json()
        self.assertTrue(r["in_force"])
        for bad in ({"share": 0, "values": {"tag": 2}}, {"share": 20, "values": {"tag": 9}}, {"share": 20, "values": {}}, {"share": 20, "values": {"x": 1}}, 5, []):
            self.assertEqual(self.call("anna", "PUT", path, {"tag": 3, "canary": bad}).status, 422, bad)
        self.assertEqual(self.call("anna", "PUT", path, {"tag": 3}).status, 200)

    def test_import_and_rollback(self):
        r = self.call("anna", "POST", "/policy-import", {"records": [{"key": "a@shop.example", "values": {"tag": 2}}, {"key": "b@shop.example", "values": {"tag": 99}}]})
        self.assertEqual((r.status, r.json()["record"]), (422, 1))
        self.assertFalse(self.call("anna", "GET", "/policies/a@shop.example").json()["exists"])
        r = self.call("anna", "POST", "/policy-import", {"records": [{"key": "a@shop.example", "values": {"tag": 2}}], "diff": True})
        self.assertEqual(r.json()["changes"][0]["key"], "mailbox:a@shop.example")
        self.assertEqual(self.call("anna", "POST", "/customers/shop/rollback", {"to_ms": "x"}).status, 422)

    def test_nothing_of_others(self):
        theirs = ["secret-other@other.example", "new@other.example", "other.example", "customer%3Aother", "tier%3Agold", "nobody.example"]
        before = self.pd.ctl("policy", "export").stdout
        for key in theirs:
            for method, path, data in (("PUT", "", {"tag": 1}), ("DELETE", "", None), ("GET", "/history", None)):
                r = self.call("anna", method, "/policies/" + key + path, data)
                if key not in ("nobody.example",) or method == "PUT":
                    self.assertEqual(r.status, 404, (key, method, r.text))
            if key not in ("nobody.example", "new@other.example"):
                self.assertEqual(self.call("anna", "GET", "/policies/" + key).status, 404, key)
        self.assertEqual(self.call("anna", "GET", "/policies/secret-other@other.example/explain").status, 404)
        for path in ("/policies?customer=other", "/policies?prefix=mailbox:secret", "/policies?limit=10000"):
            self.assertNotIn("other", self.call("anna", "GET", path).text.replace("\"another", ""), path)
        for path in ("/customers/other/use", "/customers//use"):
            self.assertEqual(self.call("anna", "GET", path).status, 404)
        self.assertEqual(self.call("anna", "POST", "/customers/other/rollback", {"to_ms": 0}).status, 404)
        self.assertEqual(self.call("anna", "DELETE", "/customers/other").status, 403)
        r = self.call("anna", "POST", "/policy-import", {"records": [{"key": "x@shop.example", "values": {"tag": 1}}, {"key": "secret-other@other.example", "values": {}}]})
        self.assertEqual(r.status, 404)
        for values in ({"customer": "shop"}, {"alias_of": "shop.example"}):
            self.assertEqual(self.call("anna", "PUT", "/policies/other.example", values).status, 404)
        self.assertEqual(self.call("anna", "PUT", "/policies/shop.example", {"customer": "other"}).status, 404)
        self.assertEqual(self.call("anna", "PUT", "/policies/customer%3Ashop", {"tier": "gold"}).status, 422)
        self.assertEqual(self.pd.ctl("policy", "export").stdout, before)


class Fuzz(Base):
    def test_fuzz_by_the_schema(self):
        dice = random.Random(5)
        doc = self.call("abe", "GET", "/openapi.json").json()
        fields = [f["name"] for f in self.call("abe", "GET", "/policy-schema").json()["fields"]] + ["allow", "block", "alias_of", "locked", "customer", "max.tag", "nope"]
        odd = [None, True, -1, 1e308, 10 ** 30, "", "off", "\u0000", "\ud7ff\U0001f600", "a" * 5000, [], {}, [[]], {"x": {}}, "'\"\\;--", "%00", "../..", "deliver", 3.5,
               {"domain:x.example": {}}, {"from:a@b": {"until": -1}}, {"ip:::/0": {"force": True}}]

        def value():
            return dice.choice(odd)

        def anything(schema):
            kind = schema.get("type")
            if dice.random() < 0.15 or kind is None:
                return value()
            if kind == "array":
                return [anything(schema.get("items", {})) for _ in range(dice.randint(0, 3))]
            if "object" in kind:
                props = schema.get("properties")
                if props:
                    return {k: anything(v) for k, v in props.items() if dice.random() < 0.8}
                return {dice.choice(fields): value() for _ in range(dice.randint(0, 4))}
            return value()

        keys = ["bob@shop.example", "shop.example", "customer%3Ashop", "%22o+dd%22@shop.example", "%FF", "%", "%zz", "a" * 700, "*.shop.example", "%2A.shop.example",
                "secret-other@other.example", "tier%3Agold", "x%00y", "customer%3A", "@", "%C3%BC@shop.example", "shop", ""]
        count, statuses = 0, {}
        for path, methods in doc["paths"].items():
            if not re.match(r"/api/v1/(polic|customers)", path):
                continue
            for method, spec in methods.items():
                for _ in range(60):
                    url = re.sub(r"\{\w+\}", lambda m: dice.choice(keys), path)
                    query = "&".join("%s=%s" % (p["name"], quote(str(dice.choice(odd + ["shop", "5"]))[:200], safe="", errors="replace")) for p in spec.get("parameters", [])
                                     if p["in"] == "query" and dice.random() < 0.5)
                    body = spec.get("requestBody")
                    data = anything(body["content"]["application/json"]["schema"]) if body else None
                    who = dice.choice(["anna", "anna", "sue"])
                    r = self.call(who, method.upper(), url[len("/api/v1"):] + ("?" + query if query else ""), data)
                    statuses[r.status] = statuses.get(r.status, 0) + 1
                    self.assertLess(r.status, 500, (method, url, query, data, r.text[:300]))
                    count += 1
        self.assertGreater(count, 500)
        self.assertTrue({200, 404, 422} <= set(statuses), statuses)
        other = json.loads("[%s]" % ",".join(self.pd.ctl("policy", "export", "--customer", "other").stdout.decode().splitlines()))
        self.assertEqual({r["key"]: r["values"] for r in other}, {"customer:other": {"tag": "3"}, "domain:other.example": {"customer": "other"},
                                                                  "mailbox:secret-other@other.example": {"tag": "2.5"}})


if __name__ == "__main__":
    unittest.main()
