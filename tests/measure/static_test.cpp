/// What is said of kernels without a GPU follows from what simt counts and from what the compiler reports.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/static/prediction.h"
#include "kernels/error.h"

namespace scrawl::bench {
namespace {

constexpr const char* usage = R"text(
Resource usage:
 Common:
  GLOBAL:0
 Function _ZN6scrawl4cuda41_GLOBAL__N__06541b4d_9_conv2d_cu_5c15c3658convolveINS_4bf16ELi2EEEvPKT_i:
  REG:168 STACK:8 SHARED:16 LOCAL:0 CONSTANT[0]:652 TEXTURE:0 SURFACE:0 SAMPLER:0
)text";

constexpr const char* code = R"text(
		Function : _ZN6scrawl4cuda41_GLOBAL__N__06541b4d_9_conv2d_cu_5c15c3658convolveINS_4bf16ELi2EEEvPKT_i
	.headerflags	@"EF_CUDA_SM90 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM90)"
        /*0000*/                   LDC R1, c[0x0][0x28] ;        /* 0x00000a00ff017b82 */
                                                                 /* 0x000fe20000000800 */
        /*0010*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0020*/              @!P0 LDGSTS.E.BYPASS.128 [R5], desc[UR4][R2.64] ;
        /*0030*/                   LDSM.16.M88.4 R8, [R0] ;
        /*0040*/                   HMMA.16816.F32.BF16 R12, R8, R16, R12 ;
        /*0050*/                   HMMA.16816.F32.BF16 R12, R8, R16, R12 ;
        /*0060*/                   IADD3 R0, R0, 0x10, RZ ;
        /*0070*/               @P0 BRA 0x20 ;
        /*0080*/                   STS [R0], R4 ;
        /*0090*/                   STL [R1], R4 ;
        /*00a0*/                   STG.E desc[UR4][R2.64], R12 ;
        /*00b0*/                   EXIT ;
        /*00c0*/                   BRA 0xc0 ;
)text";

const char* const name = "convolve<bf16, 2>";

TEST(machine_code, has_registers_and_the_instructions_of_loops) {
  Kernels kernels;
  add_usage(usage, kernels);
  add_code(code, kernels);
  ASSERT_EQ(kernels.size(), 1u);
  const auto& kernel = kernels.at(name);
  EXPECT_EQ(kernel.registers, 168);
  EXPECT_EQ(kernel.stack_bytes, 8u);
  EXPECT_EQ(kernel.shared_bytes, 16u);
  EXPECT_EQ(kernel.whole.all, 13);
  EXPECT_EQ(kernel.whole.global, 3);
  EXPECT_EQ(kernel.whole.shared, 1);
  EXPECT_EQ(kernel.whole.local, 1);
  ASSERT_EQ(kernel.loops.size(), 1u);  // a branch to itself ends a kernel, and is no loop
  EXPECT_EQ(kernel.loops[0].all, 6);
  EXPECT_EQ(kernel.loops[0].products, 2);
  EXPECT_EQ(kernel.loops[0].matrix_loads, 1);
  EXPECT_EQ(kernel.loops[0].copies, 1);
  EXPECT_EQ(kernel.loops[0].global, 1);
}

TEST(machine_code, has_one_name_for_a_kernel_on_the_gpu_and_on_simt) {
  EXPECT_EQ(
      function_name("void scrawl::cuda::(anonymous namespace)::convolve<scrawl::bf16, (scrawl::cuda::Fetch)0>"
                    "(scrawl::cuda::Convolution<scrawl::bf16>, void (*)(int))"),
      "convolve<bf16, (Fetch)0>");
  EXPECT_EQ(function_name("scrawl::simt::(anonymous namespace)::mean(float const*, long)"), "mean");
  EXPECT_EQ(function_name("mean"), "mean");
}

TEST(machine_code, of_a_program_without_kernels_says_so) {
  EXPECT_THROW((void)kernels_of("/bin/true", "sm_90a"), DeviceError);
}

// Examples of NVIDIA's occupancy calculator, for 9.0.
TEST(resident_blocks, are_the_least_that_each_resource_allows) {
  EXPECT_EQ(resident_blocks(h200, 32, 128, 0), 16);         // warps: 64 / 4
  EXPECT_EQ(resident_blocks(h200, 32, 32, 0), 32);          // blocks
  EXPECT_EQ(resident_blocks(h200, 168, 128, 0), 3);         // registers: 5376 a warp, 12 warps
  EXPECT_EQ(resident_blocks(h200, 224, 128, 41 << 10), 2);  // registers: 7168 a warp, 9 warps
  EXPECT_EQ(resident_blocks(h200, 64, 256, 73 << 10), 3);   // shared memory: 73 KiB each of 228
  EXPECT_EQ(resident_blocks(h200, 104, 64, 0), 8);  // registers: 3328 a warp, 4 warps in each of 4 parts
  EXPECT_EQ(resident_blocks(h200, 104, 288, 0), 1);
  EXPECT_EQ(resident_blocks(h200, 80, 160, 0), 4);
  EXPECT_EQ(resident_blocks(h200, 255, 1024, 0), 0);  // does not start
}

/// A launch of 264 blocks, one of which was counted: each lane reads 16 bytes and writes 16, four times.
simt::Counted copies() {
  simt::Counted launch{
      .kernel = "copies", .function = nullptr, .blocks = {264}, .threads = 128, .counted_blocks = 1};
  launch.traffic.global = {.reads = 512, .writes = 512, .read_bytes = 8192, .written_bytes = 8192};
  return launch;
}

MachineCode code_of(int registers, Instructions loop) {
  MachineCode made;
  made.registers = registers;
  made.whole = {.all = 1000, .products = loop.products, .global = loop.global, .shared = loop.shared};
  made.loops = {loop};
  return made;
}

TEST(prediction, of_a_copy_is_its_bytes_over_the_rate_of_memory) {
  // No name: the launch's function is null.
  const Kernels kernels{{"", code_of(32, {.all = 10, .global = 2})}};
  const auto p = predict(h200, {copies()}, kernels, {.flops = 0, .bytes = 1e6}, "f32");
  ASSERT_EQ(p.launches.size(), 1u);
  const auto& launch = p.launches[0];
  EXPECT_DOUBLE_EQ(launch.bytes, 264.0 * 16384);
  EXPECT_DOUBLE_EQ(launch.instructions, 8 * 5);  // 8 accesses a warp, of each ten instructions two
  EXPECT_EQ(launch.resident, 16);
  EXPECT_DOUBLE_EQ(launch.waves, 264.0 / (16 * 132));
  EXPECT_EQ(launch.by, "memory");
  EXPECT_DOUBLE_EQ(p.us, 1e6 * 264 * 16384 / 4.3e12);
  EXPECT_DOUBLE_EQ(p.limit_us, 1e6 * 1e6 / 4.3e12);
}

TEST(prediction, takes_as_long_as_the_multiprocessor_with_most_blocks) {
  const Kernels kernels{{"", code_of(32, {.all = 1000, .global = 1})}};
  auto launch = copies();
  const auto us_of = [&](unsigned blocks) {
    launch.blocks.x = blocks;
    const auto p = predict(h200, {launch}, kernels, {.flops = 0, .bytes = 1e6}, "f32");
    EXPECT_EQ(p.launches[0].by, "issue");
    return p.us;
  };
  EXPECT_DOUBLE_EQ(us_of(132), 1e6 * 4 * 8000 / (4 * 1.755e9));
  EXPECT_DOUBLE_EQ(us_of(133), 2 * us_of(132));
  EXPECT_DOUBLE_EQ(us_of(264), 2 * us_of(132));
}

TEST(prediction, of_a_kernel_nobody_compiled_is_by_bytes_alone) {
  const auto p = predict(h200, {copies()}, {}, {.flops = 0, .bytes = 1e6}, "f32");
  EXPECT_EQ(p.launches[0].by, "memory");
  EXPECT_EQ(p.launches[0].registers, 0);
  EXPECT_DOUBLE_EQ(p.us, 1e6 * 264 * 16384 / 4.3e12);
}

TEST(prediction, of_products_is_what_mma_reaches_of_the_peak) {
  auto launch = copies();
  launch.visits["multiply_add"] = {.all = 4 * 32 * 100, .one = 100};
  launch.visits["sync_block"] = {.all = 128 * 7, .one = 7};
  auto after = copies();
  const Cost cost{.flops = 264.0 * 4 * 100 * 4096, .bytes = 1e5};
  const auto p = predict(h200, {launch, after}, {}, cost, "bf16");
  EXPECT_DOUBLE_EQ(p.launches[0].products, 100);
  EXPECT_EQ(p.launches[0].barriers, 7u);
  EXPECT_EQ(p.launches[0].by, "arithmetic");
  EXPECT_DOUBLE_EQ(p.launches[0].us, 1e6 * cost.flops / (0.6 * 790e12));
  EXPECT_EQ(p.launches[1].by, "memory") << "what only copies has no part in the products";
  EXPECT_DOUBLE_EQ(p.us, p.launches[0].us + p.launches[1].us);
}

}  // namespace
}  // namespace scrawl::bench
