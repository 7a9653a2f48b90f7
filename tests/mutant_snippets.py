"""Does the snippet of every mutant still occur once in its module, and where else does it if not?

Sources are read as text and compiled, never imported: the answer takes seconds and no TensorFlow.
"""

import builtins
import dis
import functools
import inspect
import types
from pathlib import Path

from mutant_groups.modules import PACKAGE

ROOT = Path(__file__).resolve().parents[1]


def path_of(module, root=ROOT):
    """The file of a module, which need not exist."""
    return root / f"{module.replace('.', '/')}.py"


@functools.cache
def source_of(module, root=ROOT):
    """The text of a module as it was first read: an edit while the mutants run must not mix with what was imported."""
    return path_of(module, root).read_text(encoding="utf-8")


def module_names(root=ROOT):
    """Every module in which a snippet can stand: those of the package, in its folders too, and the faces beside it."""
    paths = [*root.glob("*.py"), *(root / PACKAGE).rglob("*.py")]
    return sorted(".".join(path.relative_to(root).with_suffix("").parts) for path in paths)


def complaint(mutant, root=ROOT):
    """Why a mutant cannot be applied, and the modules in which its snippet does occur once; empty if it can."""
    if not path_of(mutant.module, root).is_file():
        found = "there is no such module"
    elif (count := source_of(mutant.module, root).count(mutant.old)) != 1:
        found = f"occurs {count} times, must be once"
    else:
        return ""
    once = [name for name in module_names(root) if source_of(name, root).count(mutant.old) == 1]
    return f"{mutant.module}: {mutant.old!r}: {found}; it occurs once in: {', '.join(once) or 'no module'}"


def functions_in(code, prefix=()):
    """{qualified name: code object} of the functions and methods that a module's code defines."""
    found = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType) and constant.co_name != "<lambda>":
            name = (*prefix, constant.co_name)
            is_class = not constant.co_flags & inspect.CO_OPTIMIZED
            found |= functions_in(constant, name) if is_class else {name: constant}
    return found


@functools.cache
def functions_of(module, root=ROOT):
    """The functions of a module as it stands."""
    return functions_in(compile(source_of(module, root), str(path_of(module, root)), "exec"))


def _names(code, operations):
    """What a piece of code, with all that is defined in it, reads or writes by these operations."""
    inner = [_names(each, operations) for each in code.co_consts if isinstance(each, types.CodeType)]
    return {each.argval for each in dis.get_instructions(code) if each.opname in operations}.union(*inner)


def unknown_names(mutant, root=ROOT):
    """The names in what a mutant changes that its module does not have: such a mutant ends in a NameError."""
    module = compile(source_of(mutant.module, root), str(path_of(mutant.module, root)), "exec")
    known = _names(module, {"STORE_NAME"}) | set(dir(builtins)) | {"__file__"}
    return set().union(*(_names(code, {"LOAD_GLOBAL"}) for _, code in changes(mutant, root).values())) - known


def changes(mutant, root=ROOT):
    """{qualified name: (code, mutated code)} of the functions that a mutant changes; raises LookupError without one."""
    if problem := complaint(mutant, root):
        raise LookupError(problem)
    mutated = source_of(mutant.module, root).replace(mutant.old, mutant.new)
    before = functions_of(mutant.module, root)
    after = functions_in(compile(mutated, str(path_of(mutant.module, root)), "exec"))
    changed = {name: (code, after.get(name)) for name, code in before.items() if code != after.get(name)}
    if not changed or None in [code for _, code in changed.values()]:
        raise LookupError(f"{mutant.module}: {mutant.old!r}  ->  {mutant.new!r} changes no function, or removes one.")
    return changed
