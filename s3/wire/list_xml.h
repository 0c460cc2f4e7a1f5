/*
 * list_xml.h - a page of ListObjectsV2, parsed as it arrives and handed out once it is whole.
 *
 * A transfer may break off and be repeated, and the reader must see each entry once: so the entries
 * are kept in one compact block until the document has ended well. A document type declaration
 * (the door to entity expansion) is refused; depth and page size are bounded.
 */
#pragma once

#include <stddef.h>

#include "s3/s3.h"

#define LIST_XML_PAGE_MAX  ((size_t)4 << 20) /* bytes kept of one page: 1000 keys, all escaped */
#define LIST_XML_DEPTH_MAX 16

struct list_xml;

/** list_xml_create() - Return: 0 or -ENOMEM. */
int list_xml_create(struct list_xml **out);

/** list_xml_destroy() - NULL is fine. */
void list_xml_destroy(struct list_xml *list);

/**
 * list_xml_feed() - the next @len bytes of the document.
 * Return: 0; -EPROTO: not a listing, or beyond its bounds (list_xml_problem() says what); -ENOMEM.
 */
int list_xml_feed(struct list_xml *list, const char *data, size_t len);

/**
 * list_xml_finish() - the document has ended. Checks and decodes it.
 * Return: 0; -EPROTO: it was cut off or lacks something; -ENOMEM.
 */
int list_xml_finish(struct list_xml *list);

/** list_xml_problem() - what was wrong, "" before an error. Lives as long as @list. */
const char *list_xml_problem(const struct list_xml *list);

/**
 * list_xml_next() - after list_xml_finish(): the next entry.
 * @position: 0 for the first call; moved on.
 * @out_key: decoded; lives as long as @list. @out_meta: NULL for a common prefix.
 * Return: 1 with an entry, 0 behind the last one.
 */
int list_xml_next(struct list_xml *list, size_t *position, const char **out_key,
		  const struct s3_meta **out_meta);

/** list_xml_token() - the continuation token, "" when this is the last page. */
const char *list_xml_token(const struct list_xml *list);

/** list_xml_dropped() - keys left out because they hold a NUL, which no C string can name. */
unsigned list_xml_dropped(const struct list_xml *list);
