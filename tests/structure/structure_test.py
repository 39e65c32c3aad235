"""structure.py bites: one broken rule a test, and each is the only thing that it reports."""
import pathlib
import tempfile
import unittest

import structure


class StructureBites(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name in ("kernels/a.h", "kernels/cpu/a.h", "kernels/cuda/a.h", "runtime/a.h", "models/a.h", "tests/a.h"):
            self.write(name, "#pragma once\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def expect(self, name, text, *reports):
        self.write(name, text)
        found = list(structure.problems(self.root))
        self.assertEqual(len(found), len(reports), found)
        for got, want in zip(found, reports):
            self.assertIn(want, got)

    def test_a_tree_that_keeps_the_rules_is_silent(self):
        self.write("kernels/cuda/device/ptx.h", 'asm("ret;"); f<<<1, 1>>>(); __shared__ int x;\n#include <cuda.h>\n')
        self.write("kernels/simt/machine.h", "#include <cuda_runtime.h>\n")
        self.write("runtime/device/cuda.cpp", '#include <cuda_runtime.h>\n#include "kernels/cuda/a.h"\n')
        self.write("kernels/cpu/conv2d.cpp", '#include <dnnl.hpp>\n#include "kernels/cpu/a.h"\n')
        self.write("kernels/cuda/gemm.cu", '// no <<<>>>, no asm, no __shared__\nauto s = "asm";\n')
        self.expect("tools/main.cpp", '#include "models/a.h"\n#include "tests/a.h"\n#include <vector>\n')

    def test_kernels_may_not_include_runtime(self):
        self.expect("kernels/b.cpp", '\n#include "runtime/a.h"\n', "kernels/b.cpp:2: kernels may not include runtime")

    def test_runtime_may_not_include_models(self):
        self.expect("runtime/b.h", '  #  include "models/a.h"\n', "runtime may not include models")
        self.expect("runtime/b.h", "#include <models/a.h>\n", "runtime may not include models")

    def test_models_may_not_include_tests(self):
        self.expect("models/b.h", '#include "tests/a.h"\n', "models may not include tests")

    def test_cpu_and_cuda_never_meet(self):
        self.expect("kernels/cpu/b.cpp", '#include "kernels/cuda/a.h"\n', "never meet")
        (self.root / "kernels/cpu/b.cpp").unlink()
        self.expect("kernels/cuda/b.cu", '#include "kernels/cpu/a.h"\n', "never meet")

    def test_includes_start_at_the_root(self):
        self.expect("kernels/b.cpp", '#include "a.h"\n', '"a.h": quoted includes are files of the repository')

    def test_examples_are_a_project_of_their_own(self):
        self.write("tools/examples/gpu.h", "#include <cuda_runtime_api.h>\n")
        self.expect("tools/examples/b.cpp", '#include "gpu.h"\n#include "kernels/a.h"\n')
        self.expect("tools/examples/b.cpp", '#include "a.h"\n', '"a.h": quoted includes are files of the repository')
        (self.root / "tools/examples/b.cpp").unlink()
        self.expect("tools/b.cpp", '#include "gpu.h"\n', '"gpu.h": quoted includes are files of the repository')

    def test_cuda_headers_stay_where_cuda_is(self):
        for header in ("cuda_runtime.h", "cuda.h", "cublasLt.h", "cudnn.h", "mma.h", "cub/cub.cuh", "nccl.h"):
            self.expect("runtime/device/cpu.cpp", f"#include <{header}>\n", f"<{header}>: only kernels/cuda/")

    def test_onednn_headers_stay_in_the_cpu_backend(self):
        for header in ("dnnl.hpp", "oneapi/dnnl/dnnl.hpp", "dnnl_types.h"):
            self.expect("kernels/reference/b.cpp", f"#include <{header}>\n", "only kernels/cpu/ sees oneDNN")

    def test_no_file_is_over_600_lines(self):
        self.expect("models/b.cpp", "\n" * 600)
        self.expect("models/b.cpp", "\n" * 601, "models/b.cpp: expected at most 600 lines, got 601")
        (self.root / "models/b.cpp").unlink()
        self.expect("tools/b.sh", "#\n" * 601, "tools/b.sh: expected at most 600 lines")

    def test_kernels_use_no_raw_asm_launch_or_shared_memory(self):
        self.expect("kernels/cuda/b.cu", '/* a\n*/ asm volatile("ret;");\n', "kernels/cuda/b.cu:2: raw asm")
        self.expect("kernels/cuda/b.cu", "f<<<1, 2>>>();\n", "a raw launch")
        self.expect("kernels/cuda/vendor/b.cu", "__shared__ float x[4];\n", "a raw launch", "static shared memory")

    def test_names_say_something(self):
        self.expect("runtime/string_utils.h", "", "runtime/string_utils.h: a name that says nothing")


if __name__ == "__main__":
    unittest.main()
