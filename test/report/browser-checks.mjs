/** What is asked of a page inside the browser: functions that stand alone, since they are sent there. */

/** Texts whose contrast with what lies behind them is below 4.5, as computed. */
export const contrasts = () => {
  const parse = text => {
    const [r = 0, g = 0, b = 0, a = 1] = (text.match(/[\d.]+/g) ?? []).map(Number)
    return [r, g, b, a]
  }
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1]
  const behind = element => {
    if (element === null) return [255, 255, 255, 1]
    const own = parse(getComputedStyle(element).backgroundColor)
    return own[3] === 1 ? own : over(own, behind(element.parentElement))
  }
  const light = colour => {
    const [r = 0, g = 0, b = 0] = colour.slice(0, 3).map(value => {
      const part = value / 255
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p)
    return (x + 0.05) / (y + 0.05)
  }
  const low = new Set()
  let checked = 0
  const check = (element, colour, back) => {
    checked += 1
    const found = ratio(over(colour, back), back)
    if (found < 4.5)
      low.add(
        `${element.tagName} ${element.getAttribute('class') ?? ''}: ${found.toFixed(2)}, ${element.textContent?.trim().slice(0, 40)}`,
      )
  }
  for (const text of document.querySelectorAll('svg text')) {
    const rect = text.parentElement?.querySelector(':scope > rect')
    const back = behind(text.closest('.scroll'))
    const fill = rect ? over(parse(getComputedStyle(rect).fill), back) : back
    check(text, parse(getComputedStyle(text).fill), fill)
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement
    if (element === null || node.textContent?.trim() === '' || element.closest('svg, script, style')) continue
    if (!element.checkVisibility()) continue
    check(element, parse(getComputedStyle(element).color), behind(element))
  }
  return { checked, low: [...low] }
}

/** What is wider than the page; empty where the page does not scroll sideways. */
export const horizontal = () => {
  const room = document.documentElement.clientWidth
  const { scrollWidth } = document.documentElement
  if (scrollWidth <= room) return []
  const wide = [...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > room + 1)
    .slice(0, 5)
    .map(
      one =>
        `${one.tagName} ${one.getAttribute('class') ?? ''} ${Math.round(one.getBoundingClientRect().right)}`,
    )
  return [`the page is ${scrollWidth} wide, of ${room}`, ...wide]
}

/** Which of all that can be used has the focus; and itself, where that cannot be seen. */
export const focusOutlines = () => {
  const all = [...document.querySelectorAll('a[href], button, summary, [tabindex="0"]')].filter(one =>
    one.checkVisibility(),
  )
  const active = document.activeElement
  if (active === null) return { at: -1, outline: 'nothing' }
  const { outlineStyle, outlineWidth } = getComputedStyle(active)
  const box = active.getBoundingClientRect()
  const seen =
    outlineStyle !== 'none' &&
    Number.parseFloat(outlineWidth) >= 2 &&
    box.right > 0 &&
    box.bottom > 0 &&
    box.top < innerHeight
  return {
    at: all.indexOf(active),
    outline: seen ? '' : `${active.tagName} ${active.textContent?.slice(0, 40)}`,
  }
}

/** All that is folded away, unfolded. */
export const openDetails = () => {
  for (const one of document.querySelectorAll('details')) one.open = true
}

/** Evidence, which is shown alone, all at once: by a style sheet that the page's policy does not reach. */
export const showEvidence = () => {
  for (const one of document.querySelectorAll('.evidence')) one.classList.add('shown')
  const sheet = new CSSStyleSheet()
  sheet.replaceSync('.evidence.shown { display: block }')
  document.adoptedStyleSheets = [sheet]
}

/** How much there is to be reached. */
export const countUsable = () =>
  [...document.querySelectorAll('a[href], button, summary, [tabindex="0"]')].filter(one =>
    one.checkVisibility(),
  ).length

/** What has the focus, and whether it lies in evidence, or is it. */
export const focused = () => {
  const one = document.activeElement
  return {
    label: one?.getAttribute('aria-label') ?? '',
    inEvidence: one !== null && one.closest('.evidence') !== null,
  }
}

/** What a text could have become. */
export const partsOfPage = () => ({
  scripts: document.scripts.length,
  styles: document.querySelectorAll('style').length,
  foreign: document.querySelectorAll('img, iframe, object, embed, link, form, input').length,
  handlers: [...document.querySelectorAll('*')].filter(one =>
    one.getAttributeNames().some(name => /^on|^style$|^src/.test(name)),
  ).length,
  text: document.body.textContent ?? '',
})
