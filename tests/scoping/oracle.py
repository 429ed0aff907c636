"""What one caller may know of a world, computed from the rules alone (domain.md §2): nothing of the product is asked.

It is generous where the rules let the product choose, and exact for which installations, chargers and charges exist for somebody.
"""

from dataclasses import dataclass, field
from uuid import UUID

from domain.roles import Role, Scope, SessionState
from tests.scoping.world import AttemptFact, ChargerFact, GrantFact, PersonFact, ProgramFact, SessionFact, World

Caller = PersonFact | ProgramFact | None
"""None: nobody is signed in."""

_OBSERVING = frozenset({Scope.READ_STATUS, Scope.SET_AVAILABLE_CURRENT})


@dataclass(slots=True)
class Known:
    """What may stand in an answer to somebody."""

    ids: dict[str, set[UUID]] = field(default_factory=dict)
    """By type."""
    words: set[str] = field(default_factory=set)
    energy: int = 0
    """The energies of charges, as a mask."""
    status_energy: int = 0
    """Those that live statuses show."""

    def add(self, kind: str, identity: UUID, *words: str) -> None:
        """That thing exists for them, with these words."""
        self.ids.setdefault(kind, set()).add(identity)
        self.words.update(words)

    def of(self, kind: str) -> set[UUID]:
        """The ids of that type."""
        return self.ids.get(kind, set())


class Oracle:
    """The rules for one caller."""

    def __init__(self, world: World, caller: Caller) -> None:
        self.world = world
        self.caller = caller
        self.user_id = caller.id if isinstance(caller, PersonFact) and caller.is_active else None
        self.is_administrator = isinstance(caller, PersonFact) and caller.is_administrator
        self.program = caller if isinstance(caller, ProgramFact) and caller.is_in_use else None
        self.grants = [one for one in world.grants if one.is_in_force and self._holds(one)]
        self.knows = self._known()

    def _holds(self, grant: GrantFact) -> bool:
        if self.user_id is None:
            return False
        group = next((one for one in self.world.groups if one.id == grant.group_id), None)
        return grant.user_id == self.user_id or (group is not None and self.user_id in group.members)

    def roles_at(self, site_id: UUID) -> set[Role]:
        """Held on the installation as a whole."""
        return {one.role for one in self.grants if one.site_id == site_id and one.charger_id is None}

    def scopes_at(self, site_id: UUID) -> frozenset[Scope]:
        """Of a program."""
        is_here = self.program is not None and site_id in self.program.site_ids
        return self.program.scopes if self.program is not None and is_here else frozenset()

    def charger_roles(self, charger: ChargerFact) -> set[Role]:
        """Held on the charger alone, where it stands now."""
        return {one.role for one in self.grants if one.charger_id == charger.id and one.site_id == charger.site_id}

    def owns(self, site_id: UUID) -> bool:
        """Whether they are OWNER of the installation."""
        return Role.OWNER in self.roles_at(site_id)

    def _works_at(self, site_id: UUID) -> bool:
        """Whether they are OWNER or SERVICE of the installation."""
        return not self.roles_at(site_id).isdisjoint({Role.OWNER, Role.SERVICE})

    def _owns_there(self, charger_id: UUID | None, site_id: UUID | None) -> bool:
        """Whether they are OWNER of the charger by a grant at that installation, wherever it stands by now."""
        owned = [one for one in self.grants if one.charger_id == charger_id and one.role is Role.OWNER]
        return charger_id is not None and any(one.site_id == site_id for one in owned)

    def observes(self, site_id: UUID) -> bool:
        """Whether circuits exist for them."""
        staff = self.is_administrator or not self.roles_at(site_id).isdisjoint({Role.OWNER, Role.SERVICE})
        return staff or not self.scopes_at(site_id).isdisjoint(_OBSERVING)

    def sees_charger(self, charger: ChargerFact) -> bool:
        """Whether it exists for them."""
        here = self.roles_at(charger.site_id) or self.scopes_at(charger.site_id) or self.charger_roles(charger)
        return not charger.is_removed and (self.is_administrator or bool(here))

    def sees_details(self, charger: ChargerFact) -> bool:
        """Whether identity, serial number and circuit are theirs to see."""
        return self.sees_charger(charger) and (
            self.observes(charger.site_id) or Role.OWNER in self.charger_roles(charger)
        )

    def finds_by(self, charger: ChargerFact) -> bool:
        """Whether charges are found by the charger's id: while they see it, and after it was removed from a place that they see."""
        held = self.roles_at(charger.site_id) or self.scopes_at(charger.site_id)
        return self.is_administrator or bool(held) or self.sees_charger(charger)

    def controls(self, charger: ChargerFact) -> bool:
        """Whether what was asked of it is theirs to see, also after it was removed."""
        return self.observes(charger.site_id) or self.sees_details(charger)

    def sees_site(self, site_id: UUID) -> bool:
        """Whether it exists for them, perhaps by name only; grants on chargers that were removed still name it."""
        if self.is_administrator or self.roles_at(site_id) or self.scopes_at(site_id):
            return True
        here = [one for one in self.world.chargers if one.site_id == site_id and not one.is_removed]
        return any(self.charger_roles(one) for one in here)

    def _charged(self, site_id: UUID, charger_id: UUID, user_id: UUID | None, at: object) -> bool:
        if self.user_id is not None and user_id == self.user_id:
            return True
        if self.owns(site_id) or Scope.READ_SESSIONS in self.scopes_at(site_id):
            return True
        owned = [one for one in self.grants if one.charger_id == charger_id and one.role is Role.OWNER]
        return any(one.site_id == site_id and at >= one.valid_from for one in owned)  # type: ignore[operator]

    def sees_session(self, one: SessionFact) -> bool:
        """Whether that charge exists for them."""
        return self._charged(one.site_id, one.charger_id, one.user_id, one.started_at)

    def sees_attempt(self, one: AttemptFact) -> bool:
        """As a charge of that instant."""
        return self._charged(one.site_id, one.charger_id, one.user_id, one.at)

    def grants_at(self, grant: GrantFact) -> bool:
        """Whether they decide about permissions on the object of that one."""
        if self.is_administrator or self.owns(grant.site_id):
            return True
        if Scope.MANAGE_PERMISSIONS in self.scopes_at(grant.site_id):
            return True
        charger = next((one for one in self.world.chargers if one.id == grant.charger_id), None)
        is_here = charger is not None and charger.site_id == grant.site_id and not charger.is_removed
        return charger is not None and is_here and Role.OWNER in self.charger_roles(charger)

    def keeps_cards(self, site_id: UUID) -> bool:
        """Whether they keep the cards of those who may charge there."""
        return self.is_administrator or self.owns(site_id) or Scope.MANAGE_CARDS in self.scopes_at(site_id)

    def rules(self, site_id: UUID) -> bool:
        """Whether settings, service accounts and the audit log are theirs."""
        return self.is_administrator or self.owns(site_id)

    def manages_groups(self, site_id: UUID) -> bool:
        """Whether they see who is in a group."""
        return self.rules(site_id) or Scope.MANAGE_PERMISSIONS in self.scopes_at(site_id)

    def holders(self, grant: GrantFact) -> set[UUID]:
        """Who holds it, by themselves or through a group."""
        group = next((one for one in self.world.groups if one.id == grant.group_id), None)
        if grant.user_id is not None:
            return {grant.user_id}
        return set(group.members) if group is not None else set()

    def _known(self) -> Known:
        known = Known()
        if self.user_id is None and self.program is None:
            return known
        self._places(known)
        self._charges(known)
        self._people(known)
        self._rest(known)
        return known

    def _places(self, known: Known) -> None:
        for site in self.world.sites:
            if self.sees_site(site.id):
                known.add("Installation", site.id, *site.words)
            if self.observes(site.id):
                for circuit_id, word in site.circuits.items():
                    known.add("Circuit", circuit_id, word)
        for charger in self.world.chargers:
            if not self.sees_charger(charger):
                continue
            known.add("Charger", charger.id, charger.name)
            if self.sees_details(charger):
                known.words.update((charger.identity, charger.serial_number))
            going_on = next(
                (
                    one
                    for one in self.world.sessions
                    if one.charger_id == charger.id and one.state is SessionState.ACTIVE
                ),
                None,
            )
            is_own = going_on is not None and self.user_id is not None and going_on.user_id == self.user_id
            reads = self.owns(charger.site_id) or Scope.READ_SESSIONS in self.scopes_at(charger.site_id)
            if is_own or reads or Role.OWNER in self.charger_roles(charger):
                known.status_energy |= charger.status_wh

    def _charges(self, known: Known) -> None:
        for one in filter(self.sees_session, self.world.sessions):
            known.add("ChargeSession", one.id, *one.words)
            if one.state is not SessionState.VOID:
                known.energy |= one.wh
        for attempt in filter(self.sees_attempt, self.world.attempts):
            known.add("AuthorizationAttempt", attempt.id, attempt.reason)

    def _people(self, known: Known) -> None:
        contacts = {self.user_id} if self.user_id is not None else set()
        for grant in self.world.grants:
            is_own = self.user_id is not None and self.user_id in self.holders(grant)
            decides = self.grants_at(grant)
            named = self.user_id is not None and grant.granted_by_id == self.user_id and grant.email is not None
            if is_own or decides or (named and Role.SERVICE in self.roles_at(grant.site_id)):
                known.add("Permission", grant.id, *({grant.email} if grant.email else ()))
                known.add("Invitation", grant.id)
            if decides:
                known.words.add(grant.external_id)
                known.words.update(one.name for one in self.world.people if one.id == grant.granted_by_id)
                known.words.update(one.name for one in self.world.programs if one.id == grant.granted_by_id)
            if decides or self.keeps_cards(grant.site_id):
                contacts |= self.holders(grant)
        for group in self.world.groups:
            holds = any(self.grants_at(one) for one in self.world.grants if one.group_id == group.id)
            if self.manages_groups(group.site_id):
                contacts |= set(group.members)
            if self.manages_groups(group.site_id) or holds or self.user_id in group.members:
                known.add("UserGroup", group.id, group.name)
        if self.program is not None:
            contacts |= set(self.program.knows)
            known.words.update(self.program.knows.values())
        if self.is_administrator:
            contacts |= {one.id for one in self.world.people}
        charged = {one.user_id for one in self.world.sessions if one.id in known.of("ChargeSession")}
        for person in self.world.people:
            if person.id in contacts:
                known.add("User", person.id, person.name, person.email)
            elif person.id in charged:
                known.add("User", person.id, person.name)
        self._cards(known)

    def _cards(self, known: Known) -> None:
        kept = {
            holder
            for one in self.world.grants
            if not one.is_over and self.keeps_cards(one.site_id)
            for holder in self.holders(one)
        }
        used = {one.card_id for one in self.world.sessions if one.id in known.of("ChargeSession")}
        for card in self.world.cards:
            is_own = self.user_id is not None and card.user_id == self.user_id
            if is_own or card.user_id in kept or card.id in used or self.is_administrator:
                known.add("ChargeCard", card.id, card.name)  # the number's middle is for nobody

    def _rest(self, known: Known) -> None:
        for program in self.world.programs:
            if program is self.program or any(map(self.rules, program.site_ids)):
                known.add("ServiceAccount", program.id, *program.words)
                known.add("ApiToken", program.token_id)
        for site in self.world.sites:
            if self.is_administrator or self._works_at(site.id):
                known.add("Dashboard", site.id)
        for one in self.world.others:
            is_own = self.user_id is not None and one.user_id == self.user_id
            site_id = one.site_id
            charger = next((each for each in self.world.chargers if each.id == one.charger_id), None)
            handles = site_id is not None and (self.is_administrator or self._works_at(site_id))
            is_seen = {
                "Alert": handles or self._owns_there(one.charger_id, site_id),
                "ChargerWarning": one.charger_id in known.of("Charger"),
                "AuthorizationRequest": site_id is not None and Scope.AUTHORIZE_CHARGING in self.scopes_at(site_id),
                "OcppMessage": site_id is not None
                and (self.is_administrator or Role.SERVICE in self.roles_at(site_id)),
                "BalancingDecision": site_id is not None and self.observes(site_id),
                "AuditEntry": site_id is not None and self.rules(site_id),
                "Command": is_own or (charger is not None and charger.site_id == site_id and self.controls(charger)),
                "Export": is_own,
                "CardEnrollment": is_own or (site_id is not None and self.keeps_cards(site_id)),
            }[one.kind]
            if is_seen:
                known.add(one.kind, one.id, *one.words)
                if one.kind == "Alert" and (handles or is_own):
                    known.words.update(each.name for each in self.world.people if each.id == one.user_id)
                if one.kind == "AuditEntry" and charger is not None:
                    known.add("Charger of an entry", charger.id)


def is_told_exactly(world: World, caller: Caller) -> bool:
    """Whether the rules say exactly which charges they see: not where grants on one charger come from two installations."""
    places: dict[UUID, set[UUID]] = {}
    for one in Oracle(world, caller).grants:
        if one.charger_id is not None:
            places.setdefault(one.charger_id, set()).add(one.site_id)
    return all(len(one) == 1 for one in places.values())
