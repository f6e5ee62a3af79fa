/* Never ends by itself: whoever runs it must stop it at its fuel or its time. */

int main(void) {
    for (volatile unsigned turns = 0;; turns++) {
    }
}
