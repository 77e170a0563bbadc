"""Typical mistakes in the exercises: what each is, how it is made in the solution, and what --check says of it.

The change is (old, new) of the solution's text. What is said is how a line begins, after the file's name.
"""

MISTAKES = {
    "1": [
        (
            "everything that was ever seen is left out",
            """    before = object()  # equal to nothing
    for item in items:
        if item != before:
            yield item
        before = item
""",
            """    seen = []
    for item in items:
        if item not in seen:
            yield item
        seen.append(item)
""",
            "what comes again later is kept: changes('aabbaa') must be ['a', 'b', 'a'], and is ['a', 'b']",
        ),
        (
            "None stands for no item",
            "object()  # equal to nothing",
            "None",
            "the first item counts, whatever it is: changes([None, None, 1]) must be [None, 1], and is [1]",
        ),
        (
            "all items are collected first",
            "for item in items:",
            "for item in list(items):",
            "it asks for one item at a time: it had asked for 10 items before it yielded the first",
        ),
        (
            "the item before is not remembered",
            "        before = item\n",
            "",
            "what is repeated is left out: changes([1, 1, 2, 2, 2]) must be [1, 2], and is [1, 1, 2, 2, 2]",
        ),
    ],
    "2": [
        ("it is not primed", "@coroutine\n", "", "items can be sent to it at once: it stands before its first line"),
        (
            "it begins with the first item",
            "seen % n == 0",
            "seen % n == 1",
            "it sends on the nth item, the 2nth, and so on: what every(3, target) sends on of 1 to 8 must be [3, 6]",
        ),
        (
            "it forgets its target at the end",
            "target.close()",
            "pass",
            "when it is closed, it closes its target: what the target got, and whether it was closed, must be",
        ),
        (
            "it ends after the first nth item",
            "                target.send(item)\n",
            "                target.send(item)\n                return\n",
            "it sends on the nth item, the 2nth, and so on: the coroutine has ended when it was sent 3",
        ),
    ],
    "3": [
        (
            "the end of any element ends the text",
            'case "end", name if name == tag',
            'case "end", _ if pieces is not None',
            "text in elements inside belongs to it, in one piece: what is sent for <title>One <b>bold</b> word</title>",
        ),
        (
            "an empty element is passed over",
            'target.send("".join(pieces))',
            'target.send("".join(pieces)) if pieces else None',
            "an element without text sends an empty one: what is sent for <title/> must be [''], and is []",
        ),
        (
            "the text begins with any element",
            'case "start", (name, _) if name == tag:',
            'case "start", _:',
            "text in elements inside belongs to it, in one piece: what is sent",
        ),
        (
            "text is sent wherever it is",
            "pieces.append(text)",
            "target.send(text)",
            "the text of an element is sent: what is sent for <title>Rain</title> must be ['Rain']",
        ),
    ],
    "4": [
        (
            "close does not wait for the thread",
            "        self.thread.join()\n",
            "",
            "close waits until all items are received: how many of 3 items a slow target has",
        ),
        (
            "the target is not closed",
            "        target.close()\n",
            "",
            "close closes the target: how often the target was closed when close comes back must be 1, and is 0",
        ),
        (
            "the thread is never started",
            "        self.thread.start()\n",
            "",
            "the target receives every item in the order of sending: it raised RuntimeError: cannot join thread",
        ),
    ],
    "5": [
        (
            "the first to end ends them all",
            "            results[number] = end.value\n",
            "            results[number] = end.value\n            return results\n",
            "when one has ended, the others go on: the order of turns of a, b, c",
        ),
        (
            "each runs to its end before the next",
            "ready.append(",
            "ready.appendleft(",
            "every task has a turn before any has a second: the order of turns of a and b",
        ),
        (
            "what they return is lost",
            "= end.value",
            "= None",
            "it returns what the tasks returned, in their order: what take_turns returns",
        ),
        (
            "one that has ended is resumed for ever",
            "            results[number] = end.value\n",
            "            results[number] = end.value\n            ready.append((number, task))\n",
            "every task has a turn before any has a second: it ran for 2 s and did not come back",
        ),
    ],
    "6": [
        (
            "the state is not kept",
            "cpu.save()",
            "state",
            "a program runs to its end: after 1000 turns the programs had not come to their end",
        ),
        (
            "all share their registers",
            "deque((name, program, (0, {})) for name, program in programs.items())",
            "deque(zip(programs, programs.values(), [(0, {})] * len(programs)))",
            "every program has registers of its own: ",
        ),
        (
            "the timer ends a program",
            '("fault", _):',
            '("fault", _) | ("timer",):',
            "after the timer a program goes on: what a program of 40 instructions and a short one print must be",
        ),
        (
            "a fault is no end",
            ' | ("fault", _)',
            "",
            "a fault ends one program, and the others go on: after 1000 turns",
        ),
    ],
    "7": [
        (
            "Receive answers at once, whether there is a message or not",
            "                if not task.mailbox:\n"
            "                    task.receiving = True\n"
            "                    return\n"
            "                task.answer = task.mailbox.popleft()",
            "                task.answer = task.mailbox.popleft() if task.mailbox else None",
            "Receive blocks while there is no message: Receive answered None, and nobody had sent anything",
        ),
        (
            "a message for a task that does not wait just now is thrown away",
            "            receiver.mailbox.append(letter)\n",
            "            pass\n",
            "a message that comes before Receive waits in the mailbox: every task is blocked",
        ),
        (
            "the mailbox holds one message",
            "            receiver.mailbox.append(letter)\n",
            "            receiver.mailbox = deque([letter])\n",
            "messages are received in the order of sending: every task is blocked",
        ),
        (
            "the newest message is received first",
            "task.mailbox.popleft()",
            "task.mailbox.pop()",
            "messages are received in the order of sending: what is received, in order, must be",
        ),
        (
            "Send to a task that has ended answers True",
            "                task.answer = tid in self.tasks\n"
            "                if task.answer:\n"
            "                    self.deliver(",
            "                task.answer = True\n"
            "                if tid in self.tasks:\n"
            "                    self.deliver(",
            "Send answers whether there is such a task: the answers to Send",
        ),
        (
            "the task that receives is not made ready again",
            "            receiver.answer = letter\n            self.ready.append(receiver)\n",
            "            receiver.answer = letter\n",
            "a message reaches the task that waits for it: every task is blocked",
        ),
    ],
    "8": [
        (
            "errors pass the callers by",
            "except BaseException as end",
            "except StopIteration as end",
            "an error is raised in the caller: it raised KeyError: 'here'",
        ),
        (
            "an error is sent to the caller as a value",
            "else (None, end)",
            "else (end, None)",
            "an error is raised in the caller: what the caller of the caller catches must be 'here', and is 'nothing'",
        ),
        (
            "closing it reaches nobody",
            "except BaseException as thrown",
            "except Exception as thrown",
            "closing it closes every frame, the innermost first: the frames that are closed, in order, must be",
        ),
        (
            "what is yielded after an error was caught is lost",
            "            yielded = running.send(answer) if error is None else running.throw(error)\n",
            """            if error is not None:
                running.throw(error)
                error = None
            yielded = running.send(answer)
""",
            "a caller that has caught an error goes on: requests and result",
        ),
        (
            "calls are nested",
            "            callers.append(running)\n            running = yielded\n            continue\n",
            "            answer = yield from trampoline(yielded)\n            continue\n",
            "calls are not nested on Python's stack: it raised RecursionError",
        ),
    ],
}
