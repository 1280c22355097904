"""Words that end in a full stop which need not end a sentence, and words that begin one."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# All without their last full stop, in lower case.
NEVER = _words(
    """
    mr mrs ms dr prof rev gen sen rep gov capt cmdr lt col sgt maj hon pres messrs mmes
    adm pvt cpl supt atty asst drs det insp amb incl excl
    vs cf e.g eg i.e ie viz a.k.a aka p.s n.b approx
    sra srta sig dott dhr mevr bijv
    hr herr fr mme mlle bzw z.b d.h u.a s.o vgl bspw sog
    """
)
"""Always followed by more of the same sentence."""
NUMBERED = _words(
    """
    no nos nr rs fig figs eq eqs vol vols p pp ch chap sec art ver ca c pt pág núm para pg ill tab
    ref refs
    """
)
"""A number follows; words of their own where none does: "No. 5", "No."."""
NUMBER_MAY_FOLLOW = _words(
    """
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun
    januar februar märz okt dez max min ext apt tel est dept
    temp acct exp dep arr conf rm avg lvl a.d
    """
)
"""A number or a small letter goes on with the sentence: "Jan. 1"."""
MONTHS = _words(
    """
    jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july
    august september october november december
    """
)
"""Goes on with a day: "Fri. Dec. 5"."""
NAMED = _words(
    """
    inc ltd co corp jr sr esq univ assn assoc bros ave blvd rd rte ste st mt ft hwy sq pl qty
    u.s u.k u.n e.u u.s.a calif fla tex conn mich minn tenn colo ariz
    ph.d b.a m.a b.sc m.sc m.d d.c ll.c bldg intl natl govt
    """
)
"""A name may follow: "the U.S. Senate"; only a word that begins sentences ends them."""
CLOCK = _words("a.m p.m am pm b.c a.d b.c.e c.e uhr")
ENDERS = _words(
    """
    etc al usw ff seq in oz lb lbs yd yds mi sec secs mins hr hrs wk wks mo mos yr yrs mph
    tbsp tsp gal qt kg km cm mm
    """
)
"""May end a sentence: a small letter or a comma behind them goes on with it."""
AFTER_CLOCK = _words(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june
    july august september october november december est edt cst cdt mst mdt pst pdt gmt utc et ct pt
    cet cest bst ist jst eastern central pacific mountain
    """
)
"""Goes on with a time: "5 p.m. EST"."""
STARTERS = _words(
    """
    i i'm i've i'd i'll a an the this that these those there here he she it we you they my your his
    her its our their he's she's it's we're you're they're that's there's here's what's who's let's
    who what when where which why how is are was were do does did don't can could will would shall
    should may might must has have had if and but or so then now also however therefore thus
    meanwhile still yet yes no not ok okay well oh please thanks thank maybe perhaps some many most
    all both each every another other any nobody everyone everybody somebody someone nothing
    everything something at in on for from by with without after before during since while because
    although though as to once until unless next first second third finally later today tomorrow
    yesterday only just even never always sometimes often let see take look come go get make give
    der die das ein eine er sie es wir ihr ich und aber oder dann
    il elle nous vous ils elles je et mais
    """
)
"""Begin sentences far more often than names."""
CONNECTING = _words(
    """
    a an the and or but nor of to in on at by for from with without into onto over under than as if
    that which who whose where when while because is are was were be been has have had do does did
    not my your his her its our their this these those such very so
    und oder der die das den dem des ein eine mit von zu et ou le la les de des du un une
    """
)
"""Neither end nor begin a line of their own: the next line goes on with the sentence."""
