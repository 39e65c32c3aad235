#pragma once
/// A drawing as text, and as a PNG where a converter is installed.

#include <filesystem>
#include <string>
#include <string_view>

namespace scrawl::bench {

struct Point {
  double x = 0, y = 0;  ///< pixels, from the upper left
};

enum class Anchor : std::uint8_t { start, middle, end };

struct TextStyle {
  double size = 11;  ///< pixels
  Anchor anchor = Anchor::start;
  std::string_view color = "#333333";
  bool is_bold = false;
  double turned = 0;  ///< degrees, clockwise
};

/// One picture, grown from top to bottom: its height is known at the end. Text is escaped; what has a
/// `title` shows it under the pointer.
class Svg {
 public:
  explicit Svg(double width) : width_(width) {}

  void line(Point from, Point to, std::string_view color, double width = 1, std::string_view dashes = "");
  void rectangle(Point corner, double width, double height, std::string_view fill,
                 std::string_view stroke = "none", std::string_view title = "");
  void circle(Point center, double radius, std::string_view fill, std::string_view stroke,
              std::string_view title = "");
  void diamond(Point center, double radius, std::string_view stroke, std::string_view title = "");
  /// On a white edge, so that it is read across lines.
  void text(Point at, std::string_view words, const TextStyle& style = {});

  std::string finish(double height) const;

 private:
  void shape(const std::string& element, std::string_view title);

  double width_;
  std::string body_;
};

/// About how wide text comes out, in pixels.
double width_of(std::string_view words, double size);

/// Which of rsvg-convert, inkscape and magick is in PATH. Throws UsageError, with what to install, if none
/// is.
std::string png_converter();

/// By png_converter(), at twice the pixels. Throws UsageError if it fails.
std::string to_png(const std::string& svg);

}  // namespace scrawl::bench
