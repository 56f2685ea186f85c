/**
 * The colour a custom property stands for under the theme in force, as `rgb(…)`: a canvas cannot read `light-dark()`.
 *
 * @param within element whose theme counts
 */
export function cssColour(within: Element, property: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${property})`;
  within.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
