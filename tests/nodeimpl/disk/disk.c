/* A disk between a process and its files: it notes what happens to them, and fails when told.
 *
 * Loaded by LD_PRELOAD. For every file under OPKIT_DISK_ROOT it appends to OPKIT_DISK_JOURNAL what
 * was created, written, cut, renamed, removed and synced, each once it has happened, with the bytes
 * and, for a sync, how much of the journal there was when it began: only that is certain to be
 * covered. From this a test rebuilds what a disk may hold after power was lost at any moment.
 *
 * OPKIT_DISK_FAULTS names a file of rules, one a line: `CALL PATH ERRNO AFTER`. A call of this kind
 * (sync, write, grow, open, rename) on a path that PATH matches (as a shell does, from the root on)
 * fails with ERRNO, AFTER such calls having passed. `grow` is a write beyond the end of a file, or
 * a new file: what a full disk refuses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS = 65536, RULES = 16, RULES_BYTES = 4096 };

struct record {
    uint32_t size;
    uint32_t kind;
    uint64_t file;
    uint64_t offset;
    uint64_t begun;
    uint32_t path;
    uint32_t other;
} __attribute__((packed));

static char root[PATH_MAX];
static size_t root_length;
static int journal = -1;
static const char *faults;
static ino_t watched[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ino_t rules_file;
static unsigned long passed[RULES];


__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("OPKIT_DISK_ROOT"), *into = getenv("OPKIT_DISK_JOURNAL");
    faults = getenv("OPKIT_DISK_FAULTS");
    if (where == NULL || into == NULL || strlen(where) >= sizeof root)
        return;
    strcpy(root, where);
    root_length = strlen(root);
    int low = (int)syscall(SYS_openat, AT_FDCWD, into, O_WRONLY | O_CREAT | O_APPEND, 0600);
    /* Out of the way of programs that close or count the low numbers. */
    journal = fcntl(low, F_DUPFD_CLOEXEC, 1000);
    syscall(SYS_close, low);
}

/* Write where `path` lies into `out`, without links or dots in front of its last part. */
static int is_inside(int folder, const char *path, char *out) {
    char whole[PATH_MAX], link[64], up[PATH_MAX];
    if (root_length == 0 || path == NULL)
        return 0;
    if (path[0] == '/') {
        if (snprintf(whole, sizeof whole, "%s", path) >= (int)sizeof whole)
            return 0;
    } else {
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d",
                 folder);
        ssize_t length = readlink(link, up, sizeof up - 1);
        if (length < 0)
            return 0;
        up[length] = 0;
        if (snprintf(whole, sizeof whole, "%s/%s", up, path) >= (int)sizeof whole)
            return 0;
    }
    if (strncmp(whole, root, root_length) != 0)
        return 0;
    if (whole[root_length] != '/' && whole[root_length] != 0)
        return 0;
    snprintf(out, PATH_MAX, "%s", whole[root_length] == '/' ? whole + root_length + 1 : "");
    return 1;
}

static uint64_t noted_so_far(void) {
    struct stat about;
    return fstat(journal, &about) == 0 ? (uint64_t)about.st_size : 0;
}

static void note(char kind, ino_t file, uint64_t offset, uint64_t begun, const char *path,
                 const char *other, const void *data, size_t length) {
    size_t first = path ? strlen(path) : 0, second = other ? strlen(other) : 0;
    struct record head = {
        .size = (uint32_t)(sizeof head + first + second + length),
        .kind = (uint32_t)kind,
        .file = file,
        .offset = offset,
        .begun = begun,
        .path = (uint32_t)first,
        .other = (uint32_t)second,
    };
    struct iovec parts[4] = {
        {&head, sizeof head},
        {(void *)path, first},
        {(void *)other, second},
        {(void *)data, length},
    };
    int kept = errno;
    if (syscall(SYS_writev, journal, parts, 4) != (long)head.size)
        abort(); /* A journal with a hole proves nothing. */
    errno = kept;
}

/* Return the errno that a rule gives to this call, or 0. */
static int fault(const char *call, const char *path) {
    char text[RULES_BYTES], kind[16], part[256];
    struct stat about;
    int found = 0, number = 0, used = 0, code;
    unsigned long after;
    if (faults == NULL)
        return 0;
    pthread_mutex_lock(&lock);
    int rules = (int)syscall(SYS_openat, AT_FDCWD, faults, O_RDONLY | O_CLOEXEC, 0);
    ssize_t length = rules < 0 ? -1 : read(rules, text, sizeof text - 1);
    if (length > 0 && fstat(rules, &about) == 0) {
        if (about.st_ino != rules_file) {
            rules_file = about.st_ino;
            memset(passed, 0, sizeof passed);
        }
        text[length] = 0;
        for (char *at = text; number < RULES && !found; at += used, number++) {
            if (sscanf(at, "%15s %255s %d %lu\n%n", kind, part, &code, &after, &used) != 4)
                break;
            if (strcmp(kind, call) == 0 && fnmatch(part, path, 0) == 0 && passed[number]++ >= after)
                found = code;
        }
    }
    if (rules >= 0)
        syscall(SYS_close, rules);
    pthread_mutex_unlock(&lock);
    return found;
}

/* Write the path that `fd` was opened by into `out`; return its file's number, 0 if not ours. */
static ino_t ours(int fd, char *out) {
    char link[64], whole[PATH_MAX];
    struct stat about;
    if (root_length == 0 || fd < 0 || fd >= FDS || watched[fd] == 0)
        return 0;
    if (fstat(fd, &about) != 0 || about.st_ino != watched[fd])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    whole[length < 0 ? 0 : length] = 0;
    if (!is_inside(AT_FDCWD, whole, out))
        strcpy(out, "?");
    return about.st_ino;
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    char inside[PATH_MAX];
    struct stat about;
    int is_ours = is_inside(folder, path, inside);
    int existed = is_ours && fstatat(folder, path, &about, 0) == 0;
    if (is_ours) {
        int code = fault("open", inside);
        if (code == 0 && !existed && (flags & O_CREAT))
            code = fault("grow", inside);
        if (code != 0) {
            errno = code;
            return -1;
        }
    }
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (fd < 0 || fd >= FDS)
        return fd;
    watched[fd] = 0;
    if (is_ours && fstat(fd, &about) == 0) {
        watched[fd] = about.st_ino;
        if (!existed && (flags & O_CREAT))
            note('C', about.st_ino, 0, 0, inside, NULL, NULL, 0);
        else if (flags & O_TRUNC)
            note('T', about.st_ino, 0, 0, NULL, NULL, NULL, 0);
    }
    return fd;
}

#define MODE(mode, flags)                                                                      \
    mode_t mode = 0;                                                                           \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                       \
        va_list more;                                                                          \
        va_start(more, flags);                                                                 \
        mode = va_arg(more, mode_t);                                                           \
        va_end(more);                                                                          \
    }

int open(const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_at(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_at(folder, path, flags | O_LARGEFILE, mode);
}

/* Return the errno with which a write fails before it is tried, or 0. */
static int refused(int fd, const char *path, uint64_t end) {
    struct stat about;
    int code = fault("write", path);
    if (code == 0 && fstat(fd, &about) == 0 && end > (uint64_t)about.st_size)
        code = fault("grow", path);
    return code;
}

static ssize_t write_at(int fd, const void *data, size_t count, off_t offset) {
    char path[PATH_MAX];
    ino_t file = ours(fd, path);
    if (file != 0) {
        errno = refused(fd, path, (uint64_t)offset + count);
        if (errno != 0)
            return -1;
    }
    ssize_t done = (ssize_t)syscall(SYS_pwrite64, fd, data, count, offset);
    if (file != 0 && done > 0)
        note('W', file, (uint64_t)offset, 0, NULL, NULL, data, (size_t)done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) {
    return write_at(fd, data, count, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset) {
    return write_at(fd, data, count, offset);
}

ssize_t write(int fd, const void *data, size_t count) {
    char path[PATH_MAX];
    ino_t file = ours(fd, path);
    if (file != 0) {
        int appends = fcntl(fd, F_GETFL) & O_APPEND;
        off_t at = lseek(fd, 0, appends ? SEEK_END : SEEK_CUR);
        errno = refused(fd, path, (uint64_t)at + count);
        if (errno != 0)
            return -1;
    }
    ssize_t done = (ssize_t)syscall(SYS_write, fd, data, count);
    if (file != 0 && done > 0) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        note('W', file, (uint64_t)(end - done), 0, NULL, NULL, data, (size_t)done);
    }
    return done;
}

static int cut(int fd, off_t length) {
    char path[PATH_MAX];
    ino_t file = ours(fd, path);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (file != 0 && done == 0)
        note('T', file, (uint64_t)length, 0, NULL, NULL, NULL, 0);
    return done;
}

int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int sync_by(long call, int fd) {
    char path[PATH_MAX];
    ino_t file = ours(fd, path);
    uint64_t begun = 0;
    if (file != 0) {
        begun = noted_so_far();
        errno = fault("sync", path[0] ? path : ".");
        if (errno != 0)
            return -1;
    }
    int done = (int)syscall(call, fd);
    if (file != 0 && done == 0)
        note('S', file, 0, begun, path, NULL, NULL, 0);
    return done;
}

int fsync(int fd) { return sync_by(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }

int renameat(int from, const char *path, int to, const char *other) {
    char inside[PATH_MAX], there[PATH_MAX];
    struct stat about;
    int is_ours = is_inside(from, path, inside) && is_inside(to, other, there);
    if (is_ours) {
        errno = fault("rename", there);
        if (errno != 0 || fstatat(from, path, &about, 0) != 0)
            return -1;
    }
    int done = (int)syscall(SYS_renameat2, from, path, to, other, 0);
    if (is_ours && done == 0)
        note('R', about.st_ino, 0, 0, inside, there, NULL, 0);
    return done;
}
int rename(const char *path, const char *other) {
    return renameat(AT_FDCWD, path, AT_FDCWD, other);
}

int unlinkat(int folder, const char *path, int flags) {
    char inside[PATH_MAX];
    int is_ours = is_inside(folder, path, inside);
    int done = (int)syscall(SYS_unlinkat, folder, path, flags);
    if (is_ours && done == 0)
        note('U', 0, 0, 0, inside, NULL, NULL, 0);
    return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int remove(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int mkdirat(int folder, const char *path, mode_t mode) {
    char inside[PATH_MAX];
    struct stat about;
    int is_ours = is_inside(folder, path, inside);
    int done = (int)syscall(SYS_mkdirat, folder, path, mode);
    if (is_ours && done == 0 && fstatat(folder, path, &about, 0) == 0)
        note('D', about.st_ino, 0, 0, inside, NULL, NULL, 0);
    return done;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
