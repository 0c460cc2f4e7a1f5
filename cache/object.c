/*
 * object.c - the id of an object version. The fields are hashed with their lengths in front, so
 * that no two versions give the same bytes ("ab" + "c" and "a" + "bc").
 */
#include "cache/object.h"

#include "base/bytes.h"
#include "base/digest.h"

#define FIELDS ((size_t)4)

void object_id_of(const struct object_version *version, struct object_id *out_id)
{
	const char *fields[FIELDS] = { version->backing, version->bucket, version->key,
				       version->etag };
	struct digest_part parts[2 * FIELDS + 1];
	uint8_t lengths[FIELDS][8], size[8], digest[DIGEST_SHA256_LEN];

	for (size_t i = 0; i < FIELDS; i++) {
		size_t len = strlen(fields[i]);

		bytes_put_u64(lengths[i], len);
		parts[2 * i] = (struct digest_part){ lengths[i], sizeof(lengths[i]) };
		parts[2 * i + 1] = (struct digest_part){ fields[i], len };
	}
	bytes_put_u64(size, version->size);
	parts[2 * FIELDS] = (struct digest_part){ size, sizeof(size) };
	digest_sha256(parts, 2 * FIELDS + 1, digest);
	memcpy(out_id->bytes, digest, OBJECT_ID_LEN);
}

void object_id_text(const struct object_id *id, char out[OBJECT_ID_TEXT_LEN])
{
	digest_hex(id->bytes, OBJECT_ID_LEN, out);
}
