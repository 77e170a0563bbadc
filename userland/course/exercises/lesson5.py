"""Exercise 5: a function that lets generators take turns.

take_turns(tasks) resumes each generator of a list in turn, from the first to the last and again, until all have come to
their end; one that has ended is left out. It returns what they returned, as a list in the order of `tasks`.

Run it: python3 THIS_FILE
Check it: python3 -m pyos lesson 5 --check THIS_FILE
"""


def take_turns(tasks):
    for task in tasks:
        for _ in task:  # TODO: this is no turn, but the whole of it
            pass
    return []


def count(name, turns):
    for n in range(1, turns + 1):
        print(f"{name}: {n}")
        yield
    return f"{name} made {turns} turns"


if __name__ == "__main__":
    print(take_turns([count("hare", 2), count("tortoise", 4)]))
