/* What the modules here share: all of stdin, and numbers as text. No C library is needed. */
#ifndef OPKIT_TEXT_H
#define OPKIT_TEXT_H

#include <stdint.h>
#include <unistd.h>

/* Reads stdin to its end. Returns the bytes read, or -1 if they are more than size. */
static inline long read_all(char *into, long size) {
    long done = 0;
    for (;;) {
        char spare;
        ssize_t got = done < size ? read(0, into + done, (size_t)(size - done)) : read(0, &spare, 1);
        if (got < 0) return -1;
        if (got == 0) return done;
        if (done == size) return -1;
        done += got;
    }
}

/* Writes all bytes to stdout. Returns 0, or -1 if somebody stopped listening. */
static inline int write_all(const char *from, long size) {
    while (size > 0) {
        ssize_t put = write(1, from, (size_t)size);
        if (put <= 0) return -1;
        from += put;
        size -= put;
    }
    return 0;
}

/* Puts value in decimal digits at into (20 bytes are enough). Returns how many. */
static inline long put_number(char *into, uint64_t value) {
    char reversed[20];
    long count = 0;
    do {
        reversed[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (long i = 0; i < count; i++) into[i] = reversed[count - 1 - i];
    return count;
}

#endif
