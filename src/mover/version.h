/*
 * version.h
 *	  The release that this mover is of; custbackup.control has the extension's.
 */
#ifndef VERSION_H
#define VERSION_H

#define CUSTBACKUP_VERSION "1.0"

#endif
