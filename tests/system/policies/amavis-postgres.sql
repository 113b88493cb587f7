--
-- PostgreSQL database dump
--
SET statement_timeout = 0;
CREATE TABLE public.policy (
    id integer NOT NULL,
    policy_name character varying(32),
    spam_tag2_level real,
    spam_kill_level real
);
CREATE TABLE public.users (
    id integer NOT NULL,
    priority integer DEFAULT 7 NOT NULL,
    policy_id integer DEFAULT 1 NOT NULL,
    email bytea NOT NULL
);
COPY public.policy (id, policy_name, spam_tag2_level, spam_kill_level) FROM stdin;
1	plain	5.5	11
2	half	\N	9.5
\.

COPY public.users (id, priority, policy_id, email) FROM stdin;
1	7	1	eve@pg.example
2	5	2	@pg.example
\.
ALTER TABLE ONLY public.policy ADD CONSTRAINT policy_pkey PRIMARY KEY (id);
