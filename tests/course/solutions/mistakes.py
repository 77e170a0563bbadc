"""Typical mistakes in the exercises: what each is, how it is made in the solution, and what --check says of it.

The change is (old, new) of the solution's text. What is said is how a line begins, after the file's name.
"""

MISTAKES = {
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
}
