#include "bench/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <set>
#include <vector>

#include "bench/svg.h"
#include "bench/tables.h"
#include "kernels/error.h"
#include "runtime/io/file.h"

namespace scrawl::bench {
namespace {

constexpr double page = 900, margin = 20;  // pixels: a README's width

// Okabe and Ito's palette, less its yellow, which white swallows: told apart by colour-blind readers, too.
constexpr std::array palette{"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                             "#E69F00", "#56B4E9", "#000000", "#888888"};
constexpr auto faint = "#E4E4E4", grey = "#888888", dark = "#333333";

/// Types in the order of their panels and bars, each with its colour.
constexpr std::array<std::pair<std::string_view, const char*>, 4> types{
    {{"f32", palette[0]}, {"tf32", palette[5]}, {"bf16", palette[1]}, {"f16", palette[4]}}};

std::size_t rank_of(std::string_view type) {
  std::size_t rank = 0;
  while (rank < types.size() && types[rank].first != type) ++rank;
  return rank;
}

const char* color_of(std::string_view type) {
  const auto rank = rank_of(type);
  return rank < types.size() ? types[rank].second : grey;
}

using Rows = std::vector<const Row*>;

/// Of each problem, our fastest variant, cold where it was measured so. Rows without work are the vendor's.
Rows chosen_of(const Report& report) {
  std::map<std::string, const Row*> best;
  std::vector<std::string> order;
  for (const Row& row : report.rows) {
    const bool has_work = row.cost.flops > 0 || row.cost.bytes > 0;
    if (row.timing.ours.samples == 0 || !has_work || row.timing.peer == own_calls) continue;
    const auto [place, is_new] = best.try_emplace(row.name, &row);
    if (is_new) order.push_back(row.name);
    const auto badness = [](const Row& r) { return std::pair(r.cache != Cache::cold, r.timing.ours.median); };
    if (badness(row) < badness(*place->second)) place->second = &row;
  }
  Rows rows;
  for (const auto& name : order) rows.push_back(best.at(name));
  std::ranges::stable_sort(rows, {}, [](const Row* row) { return rank_of(row->type); });
  return rows;
}

/// "12.3 G": three digits and a prefix.
std::string engineering(double value) {
  constexpr std::array prefixes{"", " k", " M", " G", " T", " P"};
  std::size_t i = 0;
  for (; value >= 999.5 && i + 1 < prefixes.size(); ++i) value /= 1000;
  return fmt::format("{:.{}f}{}", value, value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2, prefixes[i]);
}

/// "10 G" of 1e10, "0.1" of 0.1.
std::string power_of_ten(double value) {
  constexpr std::array prefixes{"", " k", " M", " G", " T", " P"};
  const auto third = std::clamp(static_cast<int>(std::floor(std::log10(value) / 3 + 1e-9)), 0, 5);
  return fmt::format("{:g}{}", value / std::pow(1000, third), prefixes[static_cast<std::size_t>(third)]);
}

/// From values to pixels.
struct Axis {
  double low, high, from, to;
  enum class Scale : std::uint8_t { linear, log } scale = Scale::log;

  double operator()(double value) const {
    const auto scaled = [this](double v) { return scale == Scale::log ? std::log(v) : v; };
    return from + (to - from) * (scaled(value) - scaled(low)) / (scaled(high) - scaled(low));
  }
};

std::vector<double> powers_of_ten(const Axis& axis) {
  std::vector<double> ticks;
  for (double tick = std::pow(10, std::ceil(std::log10(axis.low) - 1e-9)); tick <= axis.high * 1.0001;
       tick *= 10)
    ticks.push_back(tick);
  return ticks;
}

double heading(Svg& svg, double y, std::string_view words, std::initializer_list<std::string_view> below) {
  svg.text({margin, y + 14}, words, {.size = 15, .color = dark, .is_bold = true});
  for (const auto line : below) {
    svg.text({margin, y + 32}, line, {.size = 11.5, .color = "#555555"});
    y += 16;
  }
  return y + 26;
}

/// Left to right, wrapped; `mark` draws at a point.
class Legend {
 public:
  Legend(Svg& svg, double y) : svg_(svg), y_(y) {}
  template <class Mark>
  void add(std::string_view words, Mark mark) {
    const double needs = 22 + width_of(words, 11.5);
    if (x_ + needs > page - margin) {
      x_ = margin;
      y_ += 18;
    }
    mark(Point{x_ + 6, y_ + 6});
    svg_.text({x_ + 16, y_ + 10}, words, {.size = 11.5});
    x_ += needs + 8;
  }
  double bottom() const { return y_ + 24; }

 private:
  Svg& svg_;
  double x_ = margin, y_;
};

// ---- the roofline

double intensity_of(const Row& row) { return row.cost.flops / row.cost.bytes; }
double flops_per_second(const Row& row, double us) { return row.cost.flops / us * 1e6; }

/// Our point of a problem, and the vendor's.
struct Roofline {
  Rows rows;
  const std::map<std::string, Ceiling>& ceilings;
  std::map<std::string, const char*> colors = {};  ///< by operation, without its direction

  static std::string family(const Row& row) {
    const auto operation = operation_of(row);
    return std::string(operation.substr(0, operation.find('.')));
  }
  double ceiling(const std::string& name) const {
    const auto found = ceilings.find(name);
    return found == ceilings.end() ? 0 : found->second.per_second;
  }
  std::vector<std::string> types_shown() const {
    std::vector<std::string> shown;
    for (const Row* row : rows)
      if (std::ranges::find(shown, row->type) == shown.end()) shown.push_back(row->type);
    return shown;
  }

  /// Axes for all panels alike, so that they compare; with room for the lines' labels.
  std::pair<Axis, Axis> axes(double width, double height) const {
    double x_low = 1e300, x_high = 0, y_low = 1e300, y_high = 0;
    const auto widen = [&](double x, double y) {
      x_low = std::min(x_low, x), x_high = std::max(x_high, x);
      y_low = std::min(y_low, y), y_high = std::max(y_high, y);
    };
    for (const Row* row : rows) {
      const double x = intensity_of(*row);
      widen(x, flops_per_second(*row, row->timing.ours.median));
      if (const auto* vendor = vendor_of(*row)) widen(x, flops_per_second(*row, vendor->us.median));
      const double roof = ceiling(row->type), copy = ceiling("copy");
      if (roof > 0 && copy > 0) {
        widen(roof / copy / 15, roof / 30);
        widen(roof / copy * 3, roof);
      }
    }
    return {Axis{x_low / 1.6, x_high * std::pow(x_high / x_low, 0.33), 0, width},
            Axis{y_low / 1.6, y_high * std::pow(y_high / y_low, 0.13), height, 0}};
  }

  void panel(Svg& svg, Point corner, double width, double height, const std::string& type) const {
    auto [x, y] = axes(width, height);
    x.from += corner.x, x.to += corner.x, y.from += corner.y, y.to += corner.y;
    for (const double tick : powers_of_ten(x)) {
      svg.line({x(tick), y.from}, {x(tick), y.to}, faint);
      svg.text({x(tick), y.from + 15}, power_of_ten(tick), {.anchor = Anchor::middle});
    }
    for (const double tick : powers_of_ten(y)) {
      svg.line({x.from, y(tick)}, {x.to, y(tick)}, faint);
      svg.text({x.from - 6, y(tick) + 4}, power_of_ten(tick), {.anchor = Anchor::end});
    }
    svg.rectangle(corner, width, height, "none", grey);
    svg.text({corner.x, corner.y - 7}, "FLOP/s", {});
    svg.text({corner.x + width / 2, corner.y - 7}, type,
             {.size = 13, .anchor = Anchor::middle, .is_bold = true});
    svg.text({corner.x + width, y.from + 30}, "FLOP/byte", {.anchor = Anchor::end});
    roof(svg, x, y, type);
    for (const Row* row : rows)
      if (row->type == type) points(svg, x, y, *row);
    roof_labels(svg, x, y, type);
  }

  /// Where the slope of copies enters a panel, and where products flatten it; none if it was not measured.
  std::optional<std::pair<Point, Point>> slope(const Axis& x, const Axis& y, const std::string& type) const {
    const double flat = ceiling(type), copy = ceiling("copy");
    if (flat <= 0 || copy <= 0) return std::nullopt;
    const double first = std::max(x.low, y.low / copy);
    return std::pair{Point{x(first), y(first * copy)}, Point{x(flat / copy), y(flat)}};
  }

  void roof(Svg& svg, const Axis& x, const Axis& y, const std::string& type) const {
    const auto ends = slope(x, y, type);
    if (!ends) return;
    const auto [low, ridge] = *ends;
    svg.line(low, ridge, dark, 1.5);
    svg.line(ridge, {x.to, ridge.y}, dark, 1.5);
  }

  /// After the points, which noise may lift above the lines: they are to be read.
  void roof_labels(Svg& svg, const Axis& x, const Axis& y, const std::string& type) const {
    const auto ends = slope(x, y, type);
    if (!ends) return;
    const auto [low, ridge] = *ends;
    const double turned = std::atan2(ridge.y - low.y, ridge.x - low.x);
    svg.text({(low.x + ridge.x) / 2 + 7 * std::sin(turned), (low.y + ridge.y) / 2 - 7 * std::cos(turned)},
             fmt::format("copy, {}B/s", engineering(ceiling("copy"))),
             {.anchor = Anchor::middle, .turned = turned * 180 / std::numbers::pi});
    svg.text({x.to - 5, ridge.y - 7}, fmt::format("{}FLOP/s", engineering(ceiling(type))),
             {.anchor = Anchor::end});
  }

  void points(Svg& svg, const Axis& x, const Axis& y, const Row& row) const {
    const auto* const color = colors.at(family(row));
    const double us = row.timing.ours.median;
    const Point ours{x(intensity_of(row)), y(flops_per_second(row, us))};
    const auto title = [&](std::string_view who, double time) {
      return fmt::format("{} by {}: {:.2f} us, {}FLOP/s", row.name, who, time,
                         engineering(flops_per_second(row, time)));
    };
    if (const auto* vendor = vendor_of(row)) {
      const Point theirs{ours.x, y(flops_per_second(row, vendor->us.median))};
      svg.line(ours, theirs, color, 1);
      svg.diamond(theirs, 5, color, title(vendor->name, vendor->us.median));
    }
    svg.circle(ours, 4, color, "white", title(row.variant, us));
  }

  double draw(Svg& svg, double y) {
    std::set<std::string> families;
    for (const Row* row : rows) families.insert(family(*row));
    for (const auto& name : families) colors[name] = palette[std::min(colors.size(), palette.size() - 1)];

    y = heading(svg, y, "Roofline",
                {"FLOP/s over FLOP/byte of each problem, of the least bytes that it must move.",
                 "The lines are what was measured of this device: copies, and products in the type."});
    Legend legend(svg, y);
    legend.add("ours, the fastest variant", [&](Point at) { svg.circle(at, 4, dark, "white"); });
    const bool has_vendor = std::ranges::any_of(rows, [](const Row* row) { return vendor_of(*row); });
    if (has_vendor) legend.add("the vendor's best plan", [&](Point at) { svg.diamond(at, 5, dark); });
    for (const auto& [name, color] : colors)
      legend.add(name, [&, color = color](Point at) { svg.rectangle({at.x - 5, at.y - 5}, 10, 10, color); });
    y = legend.bottom() + 20;

    const auto shown = types_shown();
    const double columns = shown.size() == 1 ? 1 : 2, axis = 46, height = 270;
    const double width = (page - 2 * margin) / columns - axis - (columns > 1 ? 6 : 0);
    for (std::size_t i = 0; i < shown.size(); ++i) {
      const bool is_right = columns > 1 && i % 2 == 1;
      panel(svg, {margin + axis + (is_right ? page / 2 - margin + 6 : 0), y}, width, height, shown[i]);
      if (is_right || i + 1 == shown.size()) y += height + 62;
    }
    return y - 10;
  }
};

// ---- bars

/// The geometric mean of an operation's problems in a type, and each of them.
struct Bar {
  std::string operation, type;
  std::vector<const Row*> rows;
  std::vector<double> each, vendor;  ///< along the axis

  static double mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double value : values) sum += std::log(value);
    return std::exp(sum / static_cast<double>(values.size()));
  }
};

/// What a chart of bars is about.
struct Chart {
  Axis axis;
  double base;  ///< where bars begin
  double mark;  ///< where the line stands that they are held beside
  std::string mark_label;
  std::vector<double> ticks;
  std::string (*tick_label)(double);
  std::string (*label)(const Bar&);
  std::string (*title)(const Row&, double);
};

constexpr double bars_from = 235, bars_to = 735;

std::vector<Bar> grouped(const Rows& rows, const auto& value_of, const auto& vendor_value_of) {
  std::vector<Bar> bars;
  for (const Row* row : rows) {
    const std::string operation(operation_of(*row));
    auto bar = std::ranges::find_if(
        bars, [&](const Bar& b) { return b.operation == operation && b.type == row->type; });
    if (bar == bars.end()) bar = bars.insert(bars.end(), Bar{operation, row->type, {}, {}, {}});
    bar->rows.push_back(row);
    bar->each.push_back(value_of(*row));
    if (const auto theirs = vendor_value_of(*row)) bar->vendor.push_back(*theirs);
  }
  std::ranges::stable_sort(bars, {}, [](const Bar& b) { return std::pair(b.operation, rank_of(b.type)); });
  return bars;
}

double draw_bars(Svg& svg, double y, const std::vector<Bar>& bars, const Chart& chart) {
  constexpr double high = 15, gap = 7;
  const double top = y + 18;
  double bottom = top;
  std::vector<double> tops;
  for (std::size_t i = 0; i < bars.size(); ++i) {
    if (i > 0) bottom += high + (bars[i].operation == bars[i - 1].operation ? 0 : gap);
    tops.push_back(bottom + gap / 2);
  }
  bottom += high + gap;
  for (std::size_t i = 0, group = 0; i < bars.size(); ++i) {
    if (i > 0 && bars[i].operation == bars[i - 1].operation) continue;
    std::size_t last = i;
    while (last + 1 < bars.size() && bars[last + 1].operation == bars[i].operation) ++last;
    if (group++ % 2 == 0)
      svg.rectangle({margin, tops[i] - gap / 2}, page - 2 * margin, tops[last] - tops[i] + high + gap,
                    "#F6F6F6");
  }
  for (const double tick : chart.ticks) {
    svg.line({chart.axis(tick), top}, {chart.axis(tick), bottom}, faint);
    svg.text({chart.axis(tick), bottom + 15}, chart.tick_label(tick), {.anchor = Anchor::middle});
  }
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const auto& bar = bars[i];
    const double value = Bar::mean(bar.each), middle = tops[i] + high / 2;
    const double from = std::min(chart.axis(chart.base), chart.axis(value));
    const double to = std::max(chart.axis(chart.base), chart.axis(value));
    if (i == 0 || bars[i - 1].operation != bar.operation)
      svg.text({margin + 4, middle + 4}, bar.operation, {.color = "#000000"});
    svg.text({bars_from - 10, middle + 4}, bar.type, {.anchor = Anchor::end});
    svg.rectangle({from, tops[i] + 1}, std::max(to - from, 1.0), high - 2, color_of(bar.type), "none",
                  fmt::format("{} {}: {}", bar.operation, bar.type, chart.label(bar)));
    svg.text({page - margin - 4, middle + 4}, chart.label(bar), {.anchor = Anchor::end});
  }
  svg.line({chart.axis(chart.mark), top - 4}, {chart.axis(chart.mark), bottom}, dark, 1.5);
  svg.text({chart.axis(chart.mark), top - 8}, chart.mark_label, {.anchor = Anchor::middle});
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const double middle = tops[i] + high / 2;
    if (bars[i].each.size() > 1)
      for (std::size_t j = 0; j < bars[i].each.size(); ++j)
        svg.circle({chart.axis(bars[i].each[j]), middle}, 2.5, "white", dark,
                   chart.title(*bars[i].rows[j], bars[i].each[j]));
    if (!bars[i].vendor.empty())
      svg.diamond({chart.axis(Bar::mean(bars[i].vendor)), middle}, 5, dark,
                  fmt::format("{} {}: the vendor", bars[i].operation, bars[i].type));
  }
  return bottom + 40;
}

double gigabytes(const Row& row, double us) { return row.cost.bytes / us * 1e-3; }

double draw_rates(Svg& svg, double y, const Rows& rows, const Ceiling& copy) {
  const auto percent = [&](const Row& row, double us) { return 1e11 * gigabytes(row, us) / copy.per_second; };
  const auto bars = grouped(
      rows, [&](const Row& row) { return percent(row, row.timing.ours.median); },
      [&](const Row& row) {
        const auto* const vendor = vendor_of(row);
        return vendor ? std::optional(percent(row, vendor->us.median)) : std::nullopt;
      });
  double most = 105;
  for (const auto& bar : bars) {
    for (const double value : bar.each) most = std::max(most, value * 1.03);
    if (!bar.vendor.empty()) most = std::max(most, Bar::mean(bar.vendor) * 1.03);
  }
  const double step = most > 1000 ? 200 : most > 400 ? 100 : most > 200 ? 50 : 25;
  std::vector<double> ticks;
  for (double tick = 0; tick <= most; tick += step) ticks.push_back(tick);
  y = heading(svg, y, "Bytes",
              {"Rates of what moves bytes and does no products, in percent of this device's copies.",
               "The least bytes of a problem count. Bar: the problems' mean. Circle: one problem. Diamond: "
               "the vendor's mean."});
  return draw_bars(svg, y, bars,
                   {.axis = {0, most, bars_from, bars_to, Axis::Scale::linear},
                    .base = 0,
                    .mark = 100,
                    .mark_label = fmt::format("copies, {}B/s", engineering(copy.per_second)),
                    .ticks = ticks,
                    .tick_label = [](double tick) { return fmt::format("{:.0f}%", tick); },
                    .label =
                        [](const Bar& bar) {
                          std::vector<double> rates;
                          for (const Row* row : bar.rows)
                            rates.push_back(1e9 * gigabytes(*row, row->timing.ours.median));
                          return fmt::format("{:.0f}%, {}B/s", Bar::mean(bar.each),
                                             engineering(Bar::mean(rates)));
                        },
                    .title =
                        [](const Row& row, double value) {
                          return fmt::format("{} by {}: {:.1f}% of copies", row.name, row.variant, value);
                        }});
}

double draw_ratios(Svg& svg, double y, const Rows& rows) {
  const auto bars = grouped(
      rows, [](const Row& row) { return row.timing.ratio.median; },
      [](const Row&) { return std::optional<double>(); });
  double least = 0.5, most = 2;
  for (const Row* row : rows) {
    least = std::min(least, row->timing.ratio.median / 1.1);
    most = std::max(most, row->timing.ratio.median * 1.1);
  }
  // As many as fit without meeting.
  const auto digits = most / least > 1000 ? std::vector<double>{1}
                      : most / least > 10 ? std::vector<double>{1, 2, 5}
                                          : std::vector<double>{1, 1.25, 1.5, 2, 3, 5, 7};
  std::vector<double> ticks;
  for (double decade = 1e-6; decade <= most; decade *= 10)
    for (const double digit : digits)
      if (digit * decade >= least && digit * decade <= most) ticks.push_back(digit * decade);
  y = heading(svg, y, "Times as fast as the best peer",
              {"The fastest of the vendor's plans and PyTorch, over ours: right of the line we are faster.",
               "Bar: the problems' mean. Circle: one problem."});
  return draw_bars(svg, y, bars,
                   {.axis = {least, most, bars_from, bars_to},
                    .base = 1,
                    .mark = 1,
                    .mark_label = "as fast as the best peer",
                    .ticks = ticks,
                    .tick_label = [](double tick) { return fmt::format("{:g} x", tick); },
                    .label =
                        [](const Bar& bar) {
                          const auto [low, high] = std::ranges::minmax(bar.each);
                          return bar.each.size() == 1
                                     ? fmt::format("{:.2f}", low)
                                     : fmt::format("{:.2f} ({:.2f}-{:.2f})", Bar::mean(bar.each), low, high);
                        },
                    .title =
                        [](const Row& row, double value) {
                          return fmt::format("{} by {}: {:.2f} x {}", row.name, row.variant, value,
                                             row.timing.peer);
                        }});
}

Rows those(const Rows& rows, const auto& wanted) {
  Rows some;
  std::ranges::copy_if(rows, std::back_inserter(some), wanted);
  return some;
}

}  // namespace

std::string to_svg(const Report& report) {
  const auto rows = chosen_of(report);
  const auto& header = report.header;
  const auto products =
      those(rows, [](const Row* row) { return row->cost.flops > 0 && row->cost.bytes > 0; });
  const auto movers = those(rows, [&](const Row* row) {
    return row->cost.flops == 0 && row->cache == Cache::cold && header.ceilings.contains("copy");
  });
  const auto rivals = those(rows, [](const Row* row) { return !row->timing.peer.empty(); });
  if (products.empty() && movers.empty() && rivals.empty())
    throw DataError("plot: expected rows with times, and FLOPs, bytes or a peer, got {} without",
                    report.rows.size());
  Svg svg(page);
  svg.text({margin, 30}, header.gpu.value_or(header.cpu), {.size = 18, .color = "#000000", .is_bold = true});
  svg.text({margin, 48},
           fmt::format("scrawl bench, {}, commit {}, load {:.1f}; {}", header.date.substr(0, 10),
                       header.commit, header.load,
                       std::ranges::all_of(rows, [](const Row* row) { return row->cache == Cache::cold; })
                           ? "caches cold"
                           : "caches cold where measured so, else hot"),
           {.size = 11.5, .color = "#555555"});
  double y = 70;
  if (!products.empty()) y = Roofline{products, header.ceilings}.draw(svg, y);
  if (!movers.empty()) y = draw_rates(svg, y, movers, header.ceilings.at("copy"));
  if (!rivals.empty()) y = draw_ratios(svg, y, rivals);
  return svg.finish(y);
}

void check_plot_path(const std::filesystem::path& path) {
  const auto ending = path.extension();
  if (ending != ".svg" && ending != ".png")
    throw UsageError("--plot: expected a file that ends in .svg or .png, got {}", path.string());
  if (ending == ".png") png_converter();
}

void write_plot(const std::filesystem::path& path, const Report& report) {
  check_plot_path(path);
  const auto svg = to_svg(report);
  write_file_atomically(path, std::string_view(path.extension() == ".png" ? to_png(svg) : svg));
}

}  // namespace scrawl::bench
