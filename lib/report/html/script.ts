/** What makes the page easier to use; without it everything is there all the same. */
export const script = `
'use strict';
(() => {
  let last = null;
  const reveal = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id === '' ? null : document.getElementById(id);
    if (target === null) return;
    let closed = false;
    for (let at = target.parentElement; at !== null; at = at.parentElement)
      if (at.tagName === 'DETAILS' && !at.open) { at.open = true; closed = true; }
    if (closed) target.scrollIntoView();
    if (target.hasAttribute('tabindex')) target.focus({ preventScroll: true });
  };
  addEventListener('hashchange', reveal);
  reveal();
  document.addEventListener('click', event => {
    const link = event.target.closest('a[href^="#"]');
    if (link !== null && !link.classList.contains('close')) last = link;
    const button = event.target.closest('[data-copy]');
    if (button === null) return;
    navigator.clipboard.writeText(button.previousElementSibling.textContent).then(
      () => { button.textContent = 'Copied'; },
      () => { button.textContent = 'Not copied'; },
    );
  });
  if (navigator.clipboard)
    for (const button of document.querySelectorAll('[data-copy]')) button.hidden = false;
  const close = event => {
    const open = document.querySelector('.evidence:target');
    if (open === null) return;
    event.preventDefault();
    const back = last;
    location.hash = open.querySelector('.close').hash;
    if (back !== null && back.isConnected) { back.focus(); back.scrollIntoView({ block: 'nearest' }); }
  };
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const move = (event, cell, [down, right]) => {
    const row = cell.parentElement;
    let next = null;
    for (let to = right === 0 ? row : cell; next === null; ) {
      if (right !== 0) to = right > 0 ? to.nextElementSibling : to.previousElementSibling;
      else to = down > 0 ? to.nextElementSibling : to.previousElementSibling;
      if (to === null) return;
      next = (right !== 0 ? to : to.cells[cell.cellIndex]).querySelector('a');
    }
    event.preventDefault();
    next.focus();
  };
  document.addEventListener('keydown', event => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.key === 'Escape') { close(event); return; }
    const step = steps[event.key];
    const cell = event.target.closest('[data-grid] td');
    if (step !== undefined && cell !== null) move(event, cell, step);
  });
  addEventListener('beforeprint', () => {
    for (const one of document.querySelectorAll('.failure > details, .generation, .picture')) one.open = true;
  });
})();
`
