// Which addresses a public name may not lead to.
//
// A name that is public by its spelling may still resolve into a network: the target guard's other half. See the IANA registries
// of special-purpose addresses (RFC 6890).

/** IPv4 blocks that are not the public internet: first address and prefix length. */
const SPECIAL_V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];

/** @param address as DNS answers write it: dotted IPv4, or IPv6 in any of its forms. What cannot be read counts as private */
export function isPrivateAddress(address: string): boolean {
  if (!address.includes(":")) return isPrivateV4(parseV4(address));
  const groups = parseV6(address);
  return groups === null || isPrivateV6(groups);
}

function isPrivateV4(value: number | null): boolean {
  if (value === null) return true;
  return SPECIAL_V4.some(([first, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(value / size) === Math.floor((parseV4(first) ?? 0) / size);
  });
}

/** @param groups eight of 16 bits */
function isPrivateV6(groups: readonly number[]): boolean {
  const [first = 0, second = 0] = groups;
  const embedded = (high: number): number => (groups[high] ?? 0) * 65_536 + (groups[high + 1] ?? 0);
  const isZero = (from: number, to: number): boolean => groups.slice(from, to).every((group) => group === 0);
  // IPv4 inside: mapped (::ffff:a.b.c.d) and compatible (::a.b.c.d), which holds :: and ::1 too; translated (64:ff9b::); 6to4 (2002:).
  if (isZero(0, 5) && (groups[5] === 0xffff || groups[5] === 0)) return isPrivateV4(embedded(6));
  if (first === 0x64 && second === 0xff9b) return !isZero(2, 6) || isPrivateV4(embedded(6));
  if (first === 0x2002) return isPrivateV4(embedded(1));
  // Only 2000::/3 is handed out; of it Teredo and ORCHID (2001::/23) and the documentation's blocks lead nowhere.
  const isGlobal = first >= 0x2000 && first <= 0x3fff;
  const isSpecial = (first === 0x2001 && (second < 0x200 || second === 0xdb8)) || first === 0x3fff;
  return !isGlobal || isSpecial;
}

function parseV4(text: string): number | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined || parts.some((part) => part > 255)) return null;
  return parts.reduce((value, part) => value * 256 + part, 0);
}

function parseV6(text: string): number[] | null {
  const mixed = /^(.*:)([\d.]+)$/.exec(text);
  if (mixed !== null && mixed[2]?.includes(".") === true) {
    const value = parseV4(mixed[2]);
    if (value === null) return null;
    const [high, low] = [Math.floor(value / 65_536), value % 65_536];
    return parseV6(`${mixed[1] ?? ""}${high.toString(16)}:${low.toString(16)}`);
  }
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [left = [], right = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - left.length - right.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...left, ...Array.from({ length: missing }, () => "0"), ...right];
  return all.every((group) => /^[0-9a-f]{1,4}$/i.test(group)) ? all.map((group) => Number.parseInt(group, 16)) : null;
}
