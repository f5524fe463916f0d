"""Word and phrase lists behind the signals: English and Russian, lower case.

A phrase is up to three words; "n't" and "'s" are words of their own, as the kernels split them. In other languages the
lists find nothing, all documents tie, and a tie decides nothing.
"""

from collections.abc import Mapping

FUNCTION, DETERMINER, PREPOSITION, NO_OBJECT, EXPLAINING, REASONING, INSTRUCTING, OPINION = (1 << b for b in range(8))
BOILERPLATE, UNSAFE, MATHEMATICAL, CONNECTING, POLICY, LOREM_IPSUM, JAVASCRIPT = (1 << b for b in range(8, 15))
BLOCK, STATEMENT = 1 << 15, 1 << 16
STOP_WORD = 1 << 17
"""The first of eight bits, one for each of Gopher's stop words."""
BEGINS = 1 << 25
"""Some phrase begins with this word."""

GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # arXiv 2112.11446, table A1

_WORDS = {
    # The commonest words of any text, which hold its sentences together.
    FUNCTION: """a an and are as at be been but by can could do does for from had has have how if in into is it its
        may more must no not of on one only or other should so some such than that the their then there these
        they this those to was we were what when where which while who will with would you your
        и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по только ее мне было вот от меня
        еще нет о из ему теперь когда даже ну вдруг ли если уже или ни быть был него до вас нибудь опять уж вам ведь там
        потом себя ничего ей может они тут где есть надо ней для мы тебя их чем была сам чтоб без будто чего раз тоже
        себе под будет ж тогда кто этот того потому этого какой ним здесь этом один почти мой тем чтобы нее были куда
        зачем всех можно при об другой хоть после над больше тот через эти нас про всего них какая много эта перед
        также это которые который которая которое между""",
    # What must be followed by what it belongs to: text whose order is lost breaks this.
    DETERMINER: "a an the my your our their every",
    PREPOSITION: """of from into onto among during upon between
        в во на с со к ко от из у о об для без через между при за под над перед""",
    NO_OBJECT: """is are was were am has had does did would could should must shall and or but of than if because
        therefore i he she they we
        и или но а если потому я он мы вы они был была были может в на с к от из у для без при""",
    # What defines, exemplifies or interprets.
    EXPLAINING: """example examples consider suppose illustrates illustrate means called definition defined denotes
        denote describes describe represents represent computes determines specifies useful namely
        например допустим означает обозначает называется называют называемый определяется определение представляет
        является описывает показывает""",
    # What joins a cause or a condition to what follows from it.
    REASONING: """because therefore thus hence since implies consequently whether otherwise however although instead
        then let assume assuming given if when whenever unless equivalent equal equals depends depending
        потому поэтому следовательно значит если когда хотя однако иначе поскольку пусть тогда зависит ибо отсюда
        благодаря вследствие""",
    # What tells the reader to do something, or asks.
    INSTRUCTING: """use try click choose select install create write read type run enter set add remove check follow
        make note remember step first second next finally how why tip tutorial exercise
        используйте нажмите выберите установите создайте напишите введите запустите проверьте добавьте удалите сделайте
        шаг сначала затем далее наконец как почему упражнение""",
    # The author's person and praise, where facts are wanted.
    OPINION: """i me my mine we us our amazing awesome best incredible fantastic gorgeous stunning unbelievable terrible
        worst love hate wow omg lol beautiful wonderful perfect exclusive ultimate
        я мне меня мой моя мои мы нас наш удивительный потрясающий невероятный лучший великолепный ужасный обожаю
        шикарный""",
    # What is denser in licences, change logs, generated files, page frames and advertising than in what people read to
    # learn. One proves nothing; their density tells.
    BOILERPLATE: """agreement consequential contributor contributors copies copyright copyrighted covenant covenants
        damages disclaim disclaimed disclaimer disclaims express grants hereafter hereby herein hereof
        hereunder implied infringe infringed infringement infringes jurisdiction legal liabilities liability
        liable licence licences license licensed licensee licensees licenses licensing licensor licensors
        merchantability notices obligations patent patents permission permissions permitted redistribute
        redistributed redistributing redistribution redistributions rights royalties royalty sublicense
        sublicensed thereof trademark trademarks warranties warranty
        backport backported bpo bug bugfix bugfixes bugs changelog cvs deprecated fix fixed fixes fixing
        issue merged patch patches refactor refactored reported reverted svn versionadded versionchanged
        workaround autogenerated fixme generated noqa pragma todo xxx
        advertisement cookie cookies homepage javascript login newsletter privacy signup sponsored subscribe
        checkout coupon discount shipping refund unsubscribe click sale offer buy deals
        лицензия лицензии лицензионный авторские авторских гарантии гарантий ответственности правообладатель товарный
        подписка подписаться подпишитесь скидка скидки доставка купить корзина заказать реклама войти регистрация
        исправлено исправлена исправлены""",
    UNSAFE: """fuck fucking shit bitch cunt asshole nigger faggot slut whore porn porno xxx viagra casino hentai
        nude nudes rape escort jackpot
        блядь хуй пизда ебать сука порно казино виагра проститутки""",
    MATHEMATICAL: """theorem lemma proof equation equations integral derivative polynomial matrix vector prime integer
        integers probability convergence algebra geometry arithmetic fraction exponent logarithm cosine sine
        coefficient eigenvalue infinity modulo
        теорема лемма доказательство уравнение уравнения интеграл производная многочлен матрица вектор вероятность
        алгебра геометрия дробь логарифм коэффициент целое""",
    # How a sentence takes up what came before.
    CONNECTING: """this that these those it its they them their such he she his her here both another thus therefore
        however hence instead otherwise moreover furthermore also then
        это этот эта эти этого он она оно они его ее их такой такие таким здесь оба поэтому однако также затем тогда
        кроме""",
    JAVASCRIPT: "javascript",
    # How lines of code begin: a block (ending in a colon or brace), a statement.
    BLOCK: """def class if elif else for while try except finally with async switch case func fn function struct enum
        impl interface namespace do catch""",
    STATEMENT: """import from return raise yield assert del pass break continue var let const public private protected
        static void int float double char bool using package include define""",
}

_PHRASES = {
    EXPLAINING: """for instance;e.g;i.e;such as;is a;is an;is the;are the;known as;refers to;refer to;that is
        ;in other words;note that;the idea;the reason;the result;the difference;the number;the value;the set;the sum
        ;how to;can be used;то есть;так называемый;это значит;другими словами;к примеру;таких как;такие как""",
    REASONING: """so that;it follows;rather than;in which case;in order to;at most;at least;due to;leads to;lead to
        ;results in;result in;для того;так как;из этого следует;в результате;при условии;не менее;не более;тем самым
        ;таким образом""",
    INSTRUCTING: "you can;make sure;how to;if you want;как сделать;для этого;убедитесь что;вы можете",
    BOILERPLATE: """all rights reserved;terms of use;read more;click here;sign up;sign in;log in;add to cart
        ;free shipping;limited time;buy now;все права защищены;читать далее;подробнее здесь;купить сейчас""",
    POLICY: "terms of use;privacy policy;cookie policy;uses cookies;use of cookies;use cookies",  # C4, arXiv 1910.10683
    LOREM_IPSUM: "lorem ipsum",
}


def entries() -> Mapping[tuple[str, ...], int]:
    """Every word and phrase, as its words, with the bits of its lists."""
    found: dict[tuple[str, ...], int] = {}
    for bit, words in _WORDS.items():
        for word in words.split():
            found[(word,)] = found.get((word,), 0) | bit
    for number, word in enumerate(GOPHER_STOP_WORDS):
        found[(word,)] = found.get((word,), 0) | STOP_WORD << number
    for bit, phrases in _PHRASES.items():
        for phrase in phrases.split(";"):
            words = tuple(phrase.split())
            found[words] = found.get(words, 0) | bit
            if len(words) > 1:
                found[words[:1]] = found.get(words[:1], 0) | BEGINS
    return found
