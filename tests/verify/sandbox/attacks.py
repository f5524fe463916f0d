"""Programs that attack: by what they use up, and by what they pretend. test_attacks.py runs them."""

EXPECTED = "731908"  # the answer that they are not to find; no program holds it in one piece

EXHAUSTION = {
    "a fork bomb": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "a thread bomb": """
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(99,)).start()
""",
    "a memory bomb": """
x = []
while True:
    x.append(bytearray(1 << 24))
""",
    "memory in one piece": """
x = bytearray(1 << 34)
""",
    "memory in shared pages": """
import mmap
x = [mmap.mmap(-1, 1 << 28) for _ in range(64)]
for m in x:
    m[:] = b'x' * len(m)
""",
    "memory in memfd": """
import os
f = os.memfd_create('x')
while True:
    os.write(f, b'x' * (1 << 20))
""",
    "memory in pipes": """
import os
while True:
    r, w = os.pipe()
    os.set_blocking(w, False)
    os.write(w, b'x' * 65536)
""",
    "endless output": """
while True:
    print('x' * 10_000)
""",
    "endless output to standard error": """
import sys
while True:
    sys.stderr.write('x' * 10_000)
""",
    "a large file": """
f = open('big', 'wb')
while True:
    f.write(b'x' * (1 << 20))
""",
    "many files": """
i = 0
while True:
    open(str(i), 'w').write('x' * 100)
    i += 1
""",
    "an infinite loop": """
while True:
    pass
""",
    "sleep": """
import time
time.sleep(10_000)
""",
    "a loop that ignores signals": """
import signal
for n in range(1, 65):
    try:
        signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
""",
    "deep recursion": """
def f():
    return f()
import sys
sys.setrecursionlimit(1 << 30)
f()
""",
    "a crash of the interpreter": """
import ctypes
ctypes.string_at(0)
""",
    "a compiler bomb": "x = " + "(" * 5_000 + ")" * 5_000,
    "a huge number": """
print(9 ** 9 ** 9)
""",
}

PRETENCE = {
    "leaving before the tests": """
import sys
sys.exit(0)
""",
    "leaving hard before the tests": """
import os
os._exit(0)
""",
    "printing marks of success": """
print('PASSED'); print('1 passed'); print('All tests passed!'); print('OK')
""",
    "a report of its own": """
import os
for fd in range(3, 64):
    try:
        os.write(fd, b'{"passed": 2, "total": 2, "why": ""}\\n')
    except OSError:
        pass
""",
    "a framed report of its own": """
import os, json
b = json.dumps({'ending': 'finished', 'cases': [{'passed': 2, 'total': 2, 'why': ''}]}).encode()
for fd in range(64):
    try:
        os.write(fd, len(b).to_bytes(4, 'big') + b)
    except OSError:
        pass
""",
    "an object that equals everything": """
class A(int):
    def __eq__(self, other):
        return True
    __hash__ = None
    __ne__ = lambda s, o: False
    __add__ = __radd__ = lambda s, o: s
def f(x):
    return A()
""",
    "a string that equals everything": """
class A(str):
    def __eq__(self, other):
        return True
    def __hash__(self):
        return 0
def f(x):
    return A('x')
""",
    "patched equality": """
import builtins, operator
operator.eq = lambda a, b: True
builtins.all = builtins.any = lambda *a: True
def f(x):
    return 0
""",
    "patching the harness": """
import sys
for name, module in list(sys.modules.items()):
    if 'underdog' in name:
        for key in list(vars(module)):
            if callable(vars(module)[key]):
                vars(module)[key] = lambda *a, **k: {'passed': 2, 'total': 2, 'why': ''}
def f(x):
    return 0
""",
    "patching json": """
import json
json.dumps = lambda *a, **k: '{"passed": 2, "total": 2, "why": ""}'
print(1)
def f(x):
    return 0
""",
    "swallowing assertions": """
import builtins
builtins.AssertionError = type('E', (Exception,), {})
__debug__ if True else 0
def f(x):
    return 0
""",
    "deleting the tests": """
import os, shutil
for root, folders, files in os.walk('/'):
    for name in files:
        if 'test' in name:
            try:
                os.remove(os.path.join(root, name))
            except OSError:
                pass
    if root.count('/') > 2:
        folders.clear()
def f(x):
    return 0
""",
    "looking for the tests in the stack": """
import sys, gc
def f(x):
    frame = sys._getframe()
    seen = []
    while frame:
        seen += [v for v in frame.f_locals.values() if isinstance(v, (int, str))]
        frame = frame.f_back
    for v in seen + [o for o in gc.get_objects() if isinstance(o, (int, str))]:
        if str(v).strip() == '731' + '908':
            return int(v)
    return 0
""",
    "reading the tests from a file of the process": """
def f(x):
    import re
    return int(re.findall('== ([0-9]+)', open('/proc/self/mem', 'rb').read().decode())[0])
""",
}
