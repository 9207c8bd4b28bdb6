/* SPDX-License-Identifier: MIT */
/*
 * An OCI layout (image-spec, image-layout.md) leads from index.json by digests to a manifest, its
 * configuration and its layers, perhaps over further indexes for each platform. An archive that
 * docker save has made names the same two in manifest.json, by paths and without digests. Both may
 * also stand in a tar archive; its files are then spooled, since they are wanted in another order.
 */
#include "rootfs/layout.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "os/json.h"
#include "os/os.h"

#define JSON_BYTES_MAX (8u << 20)
#define FILES_MAX 65536u
#define DEPTH_MAX 4
#define WORDS_MAX 65536u

/* ---- files by name ---------------------------------------------------------------------- */

struct image_file {
	const char *name;
	const char *same_as; /* NULL, or the name that a link leads to */
	uint64_t at, bytes;
};

/* Without "./" in front. */
static const char *plain(const char *name)
{
	while (text_starts(name, "./"))
		name += 2;
	return name;
}

/* docker save makes a link of a layer that stands in the archive already: "../ID/layer.tar". */
static const char *link_target(struct arena *a, const struct tree_item *item)
{
	const char *target = item->hardlink ? item->hardlink : item->inode.target;

	return arena_text(
		a, plain(item->hardlink || !text_starts(target, "../") ? target : target + 3));
}

static int spool_member(void *arg, struct archive_member *m, const struct tree_item *item,
                        struct err *e)
{
	struct image_files *b = arg;
	bool is_link = item->hardlink || S_ISLNK(item->inode.mode);
	struct image_file *f;

	if (!is_link && !S_ISREG(item->inode.mode))
		return 0;
	if (b->files.count >= FILES_MAX)
		return err_say(e, -EBADMSG, "the archive has more than %u files", FILES_MAX);
	f = LIST_ADD(&b->files, &b->arena, struct image_file);
	f->name = arena_text(&b->arena, plain(item->path));
	if (is_link) {
		f->same_as = link_target(&b->arena, item);
		return 0;
	}
	f->at = b->spool.end;
	f->bytes = item->inode.bytes;
	return archive_spool(m, item, b->spool.fd, &b->spool.end, e);
}

int image_files_of_dir(struct image_files *b, int dir, struct err *e)
{
	*b = (struct image_files){.spool.fd = -1};
	b->dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	return b->dir < 0 ? err_set(e, -errno, "image") : 0;
}

int image_files_of_archive(struct image_files *b, struct stretch in, struct err *e)
{
	int r;

	*b = (struct image_files){.dir = -1};
	r = spool_open(&b->spool, e);
	if (!r)
		r = archive_each(in, NULL, spool_member, b, e);
	if (r)
		image_files_finish(b);
	return r;
}

void image_files_finish(struct image_files *b)
{
	os_close(&b->dir);
	os_close(&b->spool.fd);
	arena_finish(&b->arena);
}

static const struct image_file *find(const struct image_files *b, const char *name)
{
	for (int links = 0; links < DEPTH_MAX; links++) {
		const struct image_file *found = NULL;

		/* The last one of a name is what extracting would leave. */
		LIST_EACH(&b->files, const struct image_file, f)
			if (!strcmp(f->name, name))
				found = f;
		if (!found || !found->same_as)
			return found;
		name = found->same_as;
	}
	return NULL;
}

int image_file_open(struct image_files *b, const char *name, int *fd, struct stretch *out,
                    struct err *e)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	const struct image_file *f;
	AUTO(fd) int file = -1;
	struct stat st;

	if (b->dir < 0) {
		f = find(b, name);
		if (!f)
			return err_say(e, -EBADMSG, "the archive has no %s", name);
		file = fcntl(b->spool.fd, F_DUPFD_CLOEXEC, 0);
		*out = (struct stretch){file, f->at, f->bytes};
	} else {
		file = (int)syscall(SYS_openat2, b->dir, name, &how, sizeof(how));
		if (file < 0 || fstat(file, &st))
			return err_set(e, -errno, "%s", name);
		if (!S_ISREG(st.st_mode))
			return err_say(e, -EBADMSG, "%s is no file", name);
		*out = (struct stretch){file, 0, (uint64_t)st.st_size};
	}
	if (file < 0)
		return err_set(e, -errno, "%s", name);
	*fd = take_fd(&file);
	return 0;
}

bool image_files_have(struct image_files *b, const char *name)
{
	struct stretch in;
	int fd;

	if (image_file_open(b, name, &fd, &in, NULL))
		return false;
	close(fd);
	return true;
}

/* @digest: NULL, or what the file must have. */
static int read_json(struct image_files *b, const char *name, const char *digest, json_t **out,
                     struct err *e)
{
	AUTO(buf) struct buf text = {0};
	AUTO(fd) int fd = -1;
	struct stretch in;
	int r = image_file_open(b, name, &fd, &in, e);

	if (!r && in.bytes > JSON_BYTES_MAX)
		r = err_say(e, -EBADMSG, "%s is too large to be what it should be", name);
	if (!r && digest)
		r = stretch_check(in, digest, e);
	if (r)
		return r;
	buf_extend(&text, (size_t)in.bytes);
	r = os_pread_all(fd, text.data, text.len, in.at);
	if (r)
		return err_set(e, r, "%s", name);
	*out = os_json_parse(buf_span(&text), 0, name, e);
	return *out ? 0 : -EBADMSG;
}

/* ---- the configuration ------------------------------------------------------------------ */

/* Text without NUL in it; NULL if it is none. */
static const char *text_of(const json_t *json, struct arena *a)
{
	const char *text = os_json_text(json);

	return text ? arena_text(a, text) : NULL;
}

static int words_of(const json_t *json, struct arena *a, struct list *out, const char *what,
                    struct err *e)
{
	size_t n;
	json_t *word;

	if (json_array_size(json) > WORDS_MAX)
		return err_say(e, -EBADMSG, "the image's %s is too long", what);
	json_array_foreach(json, n, word)
	{
		const char *text = text_of(word, a);

		if (!text)
			return err_say(e, -EBADMSG, "the image's %s is not a list of texts", what);
		*LIST_ADD(out, a, const char *) = text;
	}
	return 0;
}

static int config_of(const json_t *json, struct arena *a, struct rootfs_config *out, struct err *e)
{
	const json_t *config = json_object_get(json, "config");
	const char *os = json_string_value(json_object_get(json, "os"));
	const char *cpu = json_string_value(json_object_get(json, "architecture"));
	int r;

	if (!json_is_object(json))
		return err_say(e, -EBADMSG, "the image's configuration is not one");
	if ((os && *os && strcmp(os, "linux")) || (cpu && *cpu && strcmp(cpu, "amd64")))
		return err_say(e, -ENOTSUP,
		               "the image is for %.32s/%.32s; a machine here is "
		               "linux/amd64",
		               os ? os : "", cpu ? cpu : "");
	r = words_of(json_object_get(config, "Entrypoint"), a, &out->entrypoint, "entry point", e);
	if (!r)
		r = words_of(json_object_get(config, "Cmd"), a, &out->cmd, "command", e);
	if (!r)
		r = words_of(json_object_get(config, "Env"), a, &out->env, "environment", e);
	out->workdir = text_of(json_object_get(config, "WorkingDir"), a);
	out->user = text_of(json_object_get(config, "User"), a);
	return r;
}

int image_config_parse(struct span in, struct arena *a, struct rootfs_config *out, struct err *e)
{
	AUTO(json_t) json_t *json = os_json_parse(in, 0, "the image's configuration", e);

	return json ? config_of(json, a, out, e) : -EBADMSG;
}

static int read_config(struct image_files *b, const char *name, const char *digest, struct arena *a,
                       struct rootfs_config *out, struct err *e)
{
	json_t *json;
	int r = read_json(b, name, digest, &json, e);

	if (r)
		return r;
	r = config_of(json, a, out, e);
	json_decref(json);
	return r;
}

/* ---- layouts ---------------------------------------------------------------------------- */

/* "blobs/sha256/HEX" of a descriptor; NULL if it has no digest of that form. */
static const char *blob_name(const json_t *descriptor, struct arena *a, const char **digest)
{
	const char *text = text_of(json_object_get(descriptor, "digest"), a);

	if (!text || !text_starts(text, "sha256:") || strlen(text) != 71 ||
	    strspn(text + 7, "0123456789abcdef") != 64)
		return NULL;
	*digest = text;
	return arena_printf(a, "blobs/sha256/%s", text + 7);
}

static bool is_for_us(const json_t *descriptor)
{
	const json_t *platform = json_object_get(descriptor, "platform");
	const char *os = json_string_value(json_object_get(platform, "os"));
	const char *cpu = json_string_value(json_object_get(platform, "architecture"));

	return !platform || (os && cpu && !strcmp(os, "linux") && !strcmp(cpu, "amd64"));
}

static const char *tag_of(const json_t *descriptor)
{
	const json_t *notes = json_object_get(descriptor, "annotations");

	return json_string_value(json_object_get(notes, "org.opencontainers.image.ref.name"));
}

/* The descriptor that is meant, by tag at the top and by platform below. */
static const json_t *choose(const json_t *index, const char *tag, struct err *e)
{
	const json_t *found = NULL, *it;
	size_t n;

	json_array_foreach(json_object_get(index, "manifests"), n, it)
	{
		const char *its = tag_of(it);

		if (!is_for_us(it) || (tag && (!its || strcmp(its, tag))))
			continue;
		if (found && !tag && its) {
			err_say(e, -EINVAL,
			        "there are several images in it; say which: oci:DIR:TAG");
			return NULL;
		}
		if (!found)
			found = it;
	}
	if (!found && tag)
		err_say(e, -ENOENT, "there is no image with the tag %s for linux/amd64 in it", tag);
	else if (!found)
		err_say(e, -ENOENT, "there is no image for linux/amd64 in it");
	return found;
}

static int read_manifest(struct image_files *b, const json_t *manifest, struct arena *a,
                         struct image_parts *out, struct err *e)
{
	const json_t *layers = json_object_get(manifest, "layers"), *it;
	const char *digest, *name;
	size_t n;

	name = blob_name(json_object_get(manifest, "config"), a, &digest);
	if (!name || !json_is_array(layers) || json_array_size(layers) > LAYERS_MAX)
		return err_say(e, -EBADMSG, "its manifest is not one of a container image");
	json_array_foreach(layers, n, it)
	{
		struct image_layer *layer = LIST_ADD(&out->layers, a, struct image_layer);
		const char *type = json_string_value(json_object_get(it, "mediaType"));

		layer->name = blob_name(it, a, &layer->digest);
		if (!layer->name)
			return err_say(e, -EBADMSG, "its manifest is not one of a container image");
		if (type && !strstr(type, ".layer.") && !strstr(type, ".rootfs."))
			return err_say(e, -EBADMSG,
			               "this is no container image: it has a part of type %.100s",
			               type);
	}
	return read_config(b, name, digest, a, &out->config, e);
}

static int follow(struct image_files *b, const json_t *index, const char *tag, unsigned depth,
                  struct arena *a, struct image_parts *out, struct err *e)
{
	const json_t *chosen = choose(index, tag, e);
	const char *digest, *name;
	json_t *json;
	int r;

	if (!chosen)
		return e->code;
	name = blob_name(chosen, a, &digest);
	if (!name || depth == DEPTH_MAX)
		return err_say(e, -EBADMSG, "its index is damaged");
	r = read_json(b, name, digest, &json, e);
	if (r)
		return r;
	out->config.digest = digest;
	if (json_is_array(json_object_get(json, "manifests")))
		r = follow(b, json, NULL, depth + 1, a, out, e);
	else
		r = read_manifest(b, json, a, out, e);
	json_decref(json);
	return r;
}

int layout_read(struct image_files *b, const char *tag, struct arena *a, struct image_parts *out,
                struct err *e)
{
	struct err own = {0};
	json_t *json;
	int r;

	/* A caller without interest still needs the code that choose() leaves. */
	e = e ? e : &own;
	r = read_json(b, "index.json", NULL, &json, e);
	if (r)
		return r;
	*out = (struct image_parts){0};
	r = follow(b, json, tag, 0, a, out, e);
	json_decref(json);
	return r;
}

/* ---- docker archives -------------------------------------------------------------------- */

int docker_read(struct image_files *b, struct arena *a, struct image_parts *out, struct err *e)
{
	const json_t *image, *layers, *it;
	const char *config;
	json_t *json;
	size_t n;
	int r = read_json(b, "manifest.json", NULL, &json, e);

	if (r)
		return r;
	*out = (struct image_parts){0};
	image = json_array_get(json, 0);
	layers = json_object_get(image, "Layers");
	config = text_of(json_object_get(image, "Config"), a);
	if (json_array_size(json) > 1)
		r = err_say(e, -EINVAL,
		            "there are several images in the archive; save one of them");
	else if (!config || !json_is_array(layers) || json_array_size(layers) > LAYERS_MAX)
		r = err_say(e, -EBADMSG, "its manifest.json is not one that docker save makes");
	json_array_foreach(layers, n, it)
	{
		const char *name = r ? NULL : text_of(it, a);

		if (!r && !name)
			r = err_say(e, -EBADMSG, "a layer in its manifest.json has no name");
		if (!r)
			LIST_ADD(&out->layers, a, struct image_layer)->name = name;
	}
	if (!r)
		r = read_config(b, config, NULL, a, &out->config, e);
	json_decref(json);
	return r;
}
