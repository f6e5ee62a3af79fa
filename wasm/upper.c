/* Writes what it reads, in capital letters: the smallest module that does something. */
#include "text.h"

static char buffer[4096];

int main(void) {
    ssize_t got;
    while ((got = read(0, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            if (buffer[i] >= 'a' && buffer[i] <= 'z') buffer[i] -= 'a' - 'A';
        if (write_all(buffer, got) < 0) return 1;
    }
    return got < 0;
}
