"""A virus database of the real one's size and none of its content: 2.6 million random signatures in the proportions that
matter for time (hashes are cheap, .ndb and .ldb cost for every byte). Same seed, same database."""
import os
import random
import sys

HASHES, BODIES, LOGICAL, SEED = 2460000, 120000, 20000, 20260101


def body(rng):
    """12 to 40 random bytes, now and then with a gap in between."""
    text = rng.randbytes(rng.randint(12, 40)).hex()
    if rng.random() < 0.2:
        text += "{%d-%d}" % (rng.randint(1, 8), rng.randint(9, 40)) + rng.randbytes(rng.randint(8, 16)).hex()
    return text


def make(directory):
    os.makedirs(directory, exist_ok=True)
    done = os.path.join(directory, "bench.ldb")
    if os.path.exists(done):
        return
    rng = random.Random(SEED)
    with open(os.path.join(directory, "bench.hdb"), "w") as f:
        f.write("44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n")
        for i in range(HASHES):
            f.write("%s:%d:Bench.Hash-%d\n" % (rng.randbytes(16).hex(), rng.randint(1000, 2000000), i))
    with open(os.path.join(directory, "bench.ndb"), "w") as f:
        for i in range(BODIES):                          # target: any file 20 %, PE 55 %, OLE2 10 %, HTML 10 %, mail 5 %
            target = rng.choices((0, 1, 2, 3, 4), (20, 55, 10, 10, 5))[0]
            f.write("Bench.Body-%d:%d:*:%s\n" % (i, target, body(rng)))
    with open(done + ".new", "w") as f:
        for i in range(LOGICAL):
            f.write("Bench.Logical-%d;Engine:51-255,Target:%d;(0&1);%s;%s\n" % (i, rng.choice((0, 1, 1, 2, 3)), rng.randbytes(12).hex(), rng.randbytes(12).hex()))
    os.rename(done + ".new", done)


if __name__ == "__main__":
    make(sys.argv[1])
