#include "bench/svg.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "kernels/error.h"
#include "runtime/io/file.h"

namespace scrawl::bench {
namespace {

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '"')
      safe += "&quot;";
    else  // XML has no place for other control characters
      safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return safe;
}

bool is_in_path(const std::string& program) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

struct Converter {
  const char* name;
  const char* arguments;  ///< before a file's name, to write a PNG to standard output
  const char* rest;
};

constexpr std::array converters{
    Converter{"rsvg-convert", "--zoom=2", ""},
    Converter{"inkscape", "--export-type=png --export-dpi=192 --export-filename=-", ""},
    Converter{"magick", "-density 192", "png:-"}};

const Converter& installed() {
  for (const auto& converter : converters)
    if (is_in_path(converter.name)) return converter;
  throw UsageError(
      "a PNG: expected rsvg-convert, inkscape or magick in PATH, found none: install Debian's librsvg2-bin "
      "(tools/install.sh librsvg2-bin), or ask for a .svg");
}

}  // namespace

void Svg::shape(const std::string& element, std::string_view title) {
  if (title.empty())
    body_ += fmt::format("<{}/>\n", element);
  else
    body_ += fmt::format("<{}><title>{}</title></{}>\n", element, escaped(title),
                         element.substr(0, element.find(' ')));
}

void Svg::line(Point from, Point to, std::string_view color, double width, std::string_view dashes) {
  shape(fmt::format(R"(line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}" stroke-width="{}"{})",
                    from.x, from.y, to.x, to.y, color, width,
                    dashes.empty() ? "" : fmt::format(R"( stroke-dasharray="{}")", dashes)),
        "");
}

void Svg::rectangle(Point corner, double width, double height, std::string_view fill, std::string_view stroke,
                    std::string_view title) {
  shape(fmt::format(R"(rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}" stroke="{}")",
                    corner.x, corner.y, width, height, fill, stroke),
        title);
}

void Svg::circle(Point center, double radius, std::string_view fill, std::string_view stroke,
                 std::string_view title) {
  shape(fmt::format(R"(circle cx="{:.1f}" cy="{:.1f}" r="{}" fill="{}" stroke="{}")", center.x, center.y,
                    radius, fill, stroke),
        title);
}

void Svg::diamond(Point center, double radius, std::string_view stroke, std::string_view title) {
  shape(
      fmt::format(
          R"(path d="M{0:.1f} {1:.1f}l{2} {2} {2} -{2} -{2} -{2}z" fill="white" stroke="{3}" stroke-width="1.5")",
          center.x - radius, center.y, radius, stroke),
      title);
}

void Svg::text(Point at, std::string_view words, const TextStyle& style) {
  constexpr std::array anchors{"start", "middle", "end"};
  body_ += fmt::format(
      R"(<text x="{0:.1f}" y="{1:.1f}" font-size="{2}" text-anchor="{3}" fill="{4}"{5}{6}>{7}</text>)"
      "\n",
      at.x, at.y, style.size, anchors[static_cast<std::size_t>(style.anchor)], style.color,
      style.is_bold ? R"( font-weight="bold")" : "",
      style.turned != 0
          ? fmt::format(R"x( transform="rotate({:.1f} {:.1f} {:.1f})")x", style.turned, at.x, at.y)
          : "",
      escaped(words));
}

std::string Svg::finish(double height) const {
  return fmt::format(
      R"(<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" font-family="DejaVu Sans, Verdana, sans-serif">
<style>text {{ paint-order: stroke; stroke: white; stroke-width: 3px; stroke-linejoin: round; }}</style>
<rect width="100%" height="100%" fill="white"/>
{2}</svg>
)",
      width_, height, body_);
}

double width_of(std::string_view words, double size) {
  return 0.6 * size * static_cast<double>(words.size());
}

std::string png_converter() { return installed().name; }

std::string to_png(const std::string& svg) {
  const auto& converter = installed();
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("scrawl-plot-{}", getpid());
  std::filesystem::create_directories(folder);
  const auto file = folder / "plot.svg";
  write_file_atomically(file, std::string_view(svg));
  std::string png;
  int status = -1;
  const auto command =
      fmt::format("{} {} '{}' {}", converter.name, converter.arguments, file.string(), converter.rest);
  if (FILE* const output = popen(command.c_str(), "r")) {
    std::array<char, 65536> block;
    while (const auto count = std::fread(block.data(), 1, block.size(), output))
      png.append(block.data(), count);
    status = pclose(output);
  }
  std::filesystem::remove_all(folder);
  if (status != 0 || !png.starts_with("\x89PNG"))
    throw UsageError("{}: expected a PNG, got {} bytes and status {}; a .svg needs no converter",
                     converter.name, png.size(), status);
  return png;
}

}  // namespace scrawl::bench
