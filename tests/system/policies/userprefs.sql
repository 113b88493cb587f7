-- pg_dump -t userprefs Proxmox_ruledb
CREATE TABLE public.userprefs (
    pmail character varying NOT NULL,
    name character varying(255) NOT NULL,
    data text,
    mtime integer NOT NULL
);
COPY public.userprefs (pmail, name, data, mtime) FROM stdin;
bob@shop.example	WL	ann@friend.example,*@letters.example	1700000000
bob@shop.example	BL	spam.example	1700000000
eve@shop.example	WL	*@*.sub.example	1700000000
eve@shop.example	LANG	de	1700000000
\.
