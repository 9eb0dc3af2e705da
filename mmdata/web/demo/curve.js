/** Draws the loss of each step, and a mean over the last steps. */

const MARGIN = { top: 10, right: 20, bottom: 44, left: 44 }; // in CSS pixels, as all sizes here
const SMOOTHED = 0.95; // what a step's weight in the mean is multiplied by at each further step

/**
 * @param {SVGElement} svg
 * @param {number[]} losses One for each step, from step 1.
 */
export function drawCurve(svg, losses) {
  if (!losses.length) {
    svg.replaceChildren();
    svg.setAttribute("aria-label", "Loss: no steps yet.");
    return;
  }
  const { clientWidth, clientHeight } = svg;
  svg.setAttribute("viewBox", `${-MARGIN.left} ${-MARGIN.top} ${clientWidth} ${clientHeight}`);
  const width = Math.max(1, clientWidth - MARGIN.left - MARGIN.right);
  const height = Math.max(1, clientHeight - MARGIN.top - MARGIN.bottom);
  const shown = thinned(losses, width);
  const means = thinned(smoothed(losses), width);
  const [top, last] = [niceAbove(Math.max(...shown)), Math.max(losses.length, 10)];
  const x = (/** @type {number} */ step) => (step / last) * width;
  const y = (/** @type {number} */ loss) => height - (Math.min(loss, top) / top) * height;
  const line = (/** @type {number[]} */ values) => {
    const stride = losses.length / values.length;
    const points = values.map((loss, i) => `${x(1 + Math.floor(i * stride))} ${y(loss)}`);
    return `M${points.join("L")}`;
  };
  const parts = [0, 0.25, 0.5, 0.75, 1];
  svg.replaceChildren(
    ...parts.map((part) => element("path", { d: `M0 ${y(part * top)}H${width}` })),
    ...parts.map((part) => label(-6, y(part * top) + 4, "end", rounded(part * top))),
    ...[0, Math.round(last / 2), last].map((step) =>
      label(x(step), height + 18, "middle", step.toLocaleString("en")),
    ),
    label(width / 2, height + 38, "middle", "step"),
    element("path", { class: "each", d: line(shown) }),
    element("path", { class: "mean", d: line(means) }),
  );
  const [first, now] = [losses[0], means[means.length - 1]].map((loss) => loss.toFixed(3));
  svg.setAttribute(
    "aria-label",
    `Loss at step 1: ${first}; now, at step ${losses.length}: ${now}.`,
  );
}

/**
 * Means whose weights fall with the distance, without a pull to 0 at the first steps.
 *
 * @param {number[]} values
 */
function smoothed(values) {
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    sum = SMOOTHED * sum + value;
    weight = SMOOTHED * weight + 1;
    return sum / weight;
  });
}

/**
 * @param {number[]} values
 * @param {number} most
 */
function thinned(values, most) {
  const stride = Math.max(1, values.length / most);
  const count = Math.ceil(values.length / stride);
  return Array.from({ length: count }, (_, i) => values[Math.floor(i * stride)]);
}

/** @param {number} value */
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 8].find((factor) => factor * power >= value) ?? 10) * power;
}

/** @param {number} value */
function rounded(value) {
  return String(Number(value.toPrecision(3)));
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} anchor
 * @param {string} text
 */
function label(x, y, anchor, text) {
  const found = element("text", { x, y, "text-anchor": anchor });
  found.textContent = text;
  return found;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 */
function element(name, attributes) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, String(value));
  return found;
}
