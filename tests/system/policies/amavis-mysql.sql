-- MySQL dump 10.19  Distrib 10.3.39-MariaDB, for debian-linux-gnu (x86_64)
DROP TABLE IF EXISTS `policy`;
CREATE TABLE `policy` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `policy_name` varchar(32) DEFAULT NULL,
  `virus_lover` char(1) DEFAULT NULL,
  `spam_lover` char(1) DEFAULT NULL,
  `unchecked_lover` char(1) DEFAULT NULL,
  `banned_files_lover` char(1) DEFAULT NULL,
  `bad_header_lover` char(1) DEFAULT NULL,
  `bypass_virus_checks` char(1) DEFAULT NULL,
  `bypass_spam_checks` char(1) DEFAULT NULL,
  `spam_modifies_subj` char(1) DEFAULT NULL,
  `spam_quarantine_to` varchar(64) DEFAULT NULL,
  `spam_tag_level` float DEFAULT NULL,
  `spam_tag2_level` float DEFAULT NULL,
  `spam_kill_level` float DEFAULT NULL,
  `spam_quarantine_cutoff_level` float DEFAULT NULL,
  `addr_extension_spam` varchar(64) DEFAULT NULL,
  `spam_subject_tag2` varchar(64) DEFAULT NULL,
  `message_size_limit` int(11) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `name` (`policy_name`(10))
) ENGINE=InnoDB AUTO_INCREMENT=4 DEFAULT CHARSET=latin1 COMMENT='it''s; a comment';
LOCK TABLES `policy` WRITE;
INSERT INTO `policy` VALUES (1,'Non-paying','N','N',NULL,'N','N','N','N','Y',NULL,NULL,4.5,12,NULL,NULL,'***SPAM*** ',NULL),(2,'Quarantine; all','N','N','Y','Y','N','N','N','Y','spam-quarantine',2,3.25,6.9,20,'spam','[Bob\'s] ',65536),(3,'Wants all','Y','Y','N','N','Y','N','Y','N',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
UNLOCK TABLES;
CREATE TABLE `users` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT,
  `priority` int(11) NOT NULL DEFAULT 7,
  `policy_id` int(10) unsigned NOT NULL DEFAULT 1,
  `email` varbinary(255) NOT NULL,
  `fullname` varchar(255) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `email` (`email`)
) ENGINE=InnoDB;
INSERT INTO `users` VALUES (1,0,1,'@.',NULL),(2,5,1,'@shop.example','Shop'),(3,5,2,'@.dept.example',NULL),(4,7,2,'bob@shop.example','Bob O\'Neil'),(5,7,3,'all@shop.example',NULL),(6,7,9,'lost@shop.example',NULL);
CREATE TABLE `mailaddr` (`id` int, `priority` int, `email` varbinary(255), PRIMARY KEY (`id`));
INSERT INTO `mailaddr` (`id`, `priority`, `email`) VALUES (1,9,'ann@friend.example'),(2,5,'@letters.example'),(3,5,'@.spam.example'),(4,5,'sales@');
CREATE TABLE `wblist` (`rid` int, `sid` int, `wb` varchar(10), PRIMARY KEY (`rid`,`sid`));
INSERT INTO `wblist` VALUES (4,1,'W'),(4,2,'B'),(2,3,'b'),(4,4,'W'),(5,1,'-3.5');
