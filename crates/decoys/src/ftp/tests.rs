//! Dialogues with the FTP server, as vsftpd 3.0.3 of Debian 12 held them.
