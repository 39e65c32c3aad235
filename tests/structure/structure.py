"""The rules of the source tree that a compiler does not enforce.

python structure.py [ROOT]    prints a line for each place that breaks a rule; exit status 1 if there is any.
"""
import pathlib
import re
import sys

# Includes point one way: a folder may include itself and what stands left of it.
LAYERS = {"kernels": 0, "runtime": 1, "models": 2, "tools": 3, "tests": 3, "bench": 3}

CODE = {".h", ".cpp", ".cu", ".cuh"}
SOURCE = CODE | {".py", ".sh", ".cmake", ".toml"}
MAX_LINES = 600

CUDA_HEADER = re.compile(
    r"(cuda\w*|cublas\w*|cudnn\w*|cufft|curand\w*|nvrtc|nccl|nvml|mma|cooperative_groups|vector_types|driver_types)"
    r"\.(h|hpp)$|(cuda|cub|thrust|cutlass|cute|nvtx3|crt)/"
)
EXAMPLES = "tools/examples/"  # a project of its own, that uses an installed scrawl
CUDA_PLACES = ("kernels/cuda/", "kernels/simt/", "runtime/device/cuda", "tests/vendor/", EXAMPLES)  # vendor: fakes
ONEDNN_HEADER = re.compile(r"(oneapi/dnnl/|(oneapi/)?dnnl\w*\.)")

# Kernels reach PTX, launches and shared memory through device/, which has a simt body for each.
KERNEL_TOKENS = {"<<<": "a raw launch", "__shared__": "static shared memory"}
KERNEL_WORDS = re.compile(r"\b(asm|__asm__)\b")

VAGUE_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|misc)(_|$)")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def without_comments_and_strings(text):
    """The same text, blank where comments and strings were, so that line numbers stay."""
    return COMMENT_OR_STRING.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def include_problems(name, text, root):
    """name: path from the root, with slashes."""
    layer = LAYERS[name.split("/")[0]]
    for match in INCLUDE.finditer(text):
        quote, target = match.groups()
        where = f"{name}:{line_of(text, match.start(1))}"
        top = target.split("/")[0]
        own = name.startswith(EXAMPLES) and (root / EXAMPLES / target).is_file()
        if quote == '"' and not own and not (root / target).is_file():
            yield f"{where}: \"{target}\": quoted includes are files of the repository, from its root"
        if LAYERS.get(top, -1) > layer:
            yield f"{where}: {name.split('/')[0]} may not include {top}"
        for one, other in (("kernels/cpu/", "kernels/cuda/"), ("kernels/cuda/", "kernels/cpu/")):
            if name.startswith(one) and target.startswith(other):
                yield f"{where}: {one} and {other} never meet"
        if CUDA_HEADER.match(target) and not name.startswith(CUDA_PLACES):
            yield f"{where}: <{target}>: only {', '.join(CUDA_PLACES)}* see a CUDA header"
        if ONEDNN_HEADER.match(target) and not name.startswith("kernels/cpu/"):
            yield f"{where}: <{target}>: only kernels/cpu/ sees oneDNN"


def kernel_problems(name, text):
    if not name.startswith("kernels/cuda/") or name.startswith("kernels/cuda/device/"):
        return
    code = without_comments_and_strings(text)
    for token, what in KERNEL_TOKENS.items():
        for match in re.finditer(re.escape(token), code):
            yield f"{name}:{line_of(code, match.start())}: {what}: only kernels/cuda/device/ may use {token}"
    for match in KERNEL_WORDS.finditer(code):
        yield f"{name}:{line_of(code, match.start())}: raw {match.group()}: only kernels/cuda/device/ may use it"


def problems(root):
    for top in LAYERS:
        for path in sorted((root / top).rglob("*")):
            name = path.relative_to(root).as_posix()
            is_source = path.suffix in SOURCE or path.name == "CMakeLists.txt"
            if not is_source or not path.is_file():
                continue
            if VAGUE_NAMES.search(path.stem):
                yield f"{name}: a name that says nothing; what is in it?"
            text = path.read_text(encoding="utf-8")
            lines = text.count("\n") + (not text.endswith("\n"))
            if lines > MAX_LINES:
                yield f"{name}: expected at most {MAX_LINES} lines, got {lines}"
            if path.suffix in CODE:
                yield from include_problems(name, text, root)
                yield from kernel_problems(name, text)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    found = list(problems(root))
    print("\n".join(found) if found else "structure: every rule holds")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
